"""What a worker promises: every number once, nothing lost, nothing kept that is not its own any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from lrsearch.errors import NotFound, Unavailable
from lrsearch.service import Service
from lrsearch.store import Store
from lrsearch.study import Directive, LeaseRequest, ReportRequest, StudySpec
from lrsearch.tasks.least_squares import LeastSquares
from lrsearch.tasks.registry import load_tasks
from lrsearch.training.prefixes import PrefixStore
from lrsearch.training.trainer import Trainer
from lrsearch.worker import Worker

Make = Callable[..., Any]

SLOW = {"updates": 160_000, "eval_every": 1_600}
"""A horizon long enough to be interrupted: a hundred intervals of ten milliseconds or more."""


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def in_thread(worker: Worker, **options: Any) -> threading.Thread:
    thread = threading.Thread(target=worker.run, kwargs=options, daemon=True)
    thread.start()
    return thread


def slow(spec: Callable[..., StudySpec], **fields: Any) -> StudySpec:
    data = spec(**fields).model_dump(mode="json", exclude_unset=True) | SLOW
    data.pop("epochs")
    return StudySpec.read(data)


def test_a_study_is_trained_to_its_end(service: Service, spec: Make, worker: Make, values: Make) -> None:
    service.create(spec(confirm={"top": 2, "seeds": 2}))
    worker(service, study="s").run()
    study = service.study("s")
    assert study.state == "completed"
    found = values("s")
    assert len(found) == 8
    assert study.best is not None
    assert study.best.confirmed is not None
    assert study.progress.epochs.trained == study.progress.epochs.asked == 80
    assert [trial.attempts for trial in service.trials("s").items if trial.confirmed is None] == [1] * 6


def test_the_best_is_what_brute_force_finds(service: Service, spec: Make, worker: Make, values: Make) -> None:
    service.create(spec())
    worker(service, study="s").run()
    found = {number: value for number, value in values("s").items() if value is not None}
    best = service.study("s").best
    assert best is not None
    assert best.trial == min(found, key=lambda number: (found[number], number))


@pytest.mark.parametrize("n_workers", [1, 3])
def test_values_do_not_depend_on_who_trains_beside(
    service: Service, spec: Make, worker: Make, values: Make, n_workers: int
) -> None:
    service.create(spec(name="alone"))
    worker(service, study="alone").run()
    service.create(spec(name="beside"))
    threads = [in_thread(worker(service, name=f"w{n}", study="beside", hold=n + 1)) for n in range(n_workers)]
    for thread in threads:
        thread.join(30)
    assert values("beside") == values("alone")


@pytest.mark.parametrize("seed", range(3))
def test_a_line_that_fails_loses_nothing(
    service: Service, spec: Make, worker: Make, values: Make, cut_line: Make, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("lrsearch.worker.AWAY_SECONDS", (0.01, 0.05))
    line = cut_line(service, lost_requests=0.25, lost_answers=0.25, seed=seed)
    service.create(spec(name="whole", budget={"trials": 24}))
    worker(service, study="whole").run()
    service.create(spec(name="cut", budget={"trials": 24}))
    worker(line, study="cut", hold=2).run()
    study = service.study("cut")
    assert line.failures > 0
    assert study.state == "completed"
    assert values("cut") == values("whole")
    assert study.progress.epochs.repeated == 0
    for number in values("cut"):
        assert [point.epoch for point in service.curve("cut", number)] == list(range(1, 11))


def test_results_wait_while_the_service_is_away(
    service: Service, spec: Make, worker: Make, values: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lrsearch.worker.AWAY_SECONDS", (0.01, 0.05))
    away = threading.Event()
    sent: list[ReportRequest] = []

    class Door:
        lease = staticmethod(service.lease)
        release = staticmethod(service.release)

        @staticmethod
        def report(lease: str, request: ReportRequest) -> Any:
            if away.is_set():
                sent.append(request)
                raise Unavailable("closed for a while")
            return service.report(lease, request)

    service.create(spec(budget={"trials": 2}))
    away.set()
    thread = in_thread(worker(Door, study="s", hold=2))
    wait_for(lambda: any(report.result for request in sent for report in request.reports))
    assert service.study("s").progress.epochs.trained == 0
    away.clear()
    thread.join(10)
    assert service.study("s").state == "completed"
    assert [trial.attempts for trial in service.trials("s").items] == [1, 1]
    assert None not in values("s").values()


def test_a_lost_lease_drops_the_work(service: Service, spec: Make, worker: Make) -> None:
    service.create(slow(spec, budget={"trials": 1}))
    first = worker(service, name="w", study="s")
    thread = in_thread(first)
    wait_for(lambda: service.study("s").progress.epochs.trained > 3)
    lease = service.lease(LeaseRequest(worker="w", hold=1, study="s"))  # another process under the same name
    assert [item.attempt for item in lease.assignments] == [2]
    wait_for(lambda: service.trial("s", 0).attempts == 3)  # the first noticed, dropped it and asked anew
    thread.join(60)
    trial = service.trial("s", 0)
    assert trial.state == "completed"
    assert [point.epoch for point in service.curve("s", 0)] == list(range(1, 101))


def test_stopped_between_epochs_it_hands_back(service: Service, spec: Make, worker: Make, values: Make) -> None:
    service.create(slow(spec, budget={"trials": 2}))
    over = threading.Event()
    thread = in_thread(worker(service, name="a", study="s"), until=over.is_set)
    wait_for(lambda: service.study("s").progress.epochs.trained > 3)
    over.set()
    thread.join(10)
    assert not thread.is_alive()
    assert service.trial("s", 0).state == "queued"
    worker(service, name="b", study="s").run()
    assert service.study("s").state == "completed"
    assert len(values("s")) == 2
    assert [point.epoch for point in service.curve("s", 0)] == list(range(1, 101))


@pytest.mark.parametrize(("verb", "state"), [("cancel", "cancelled"), ("pause", "queued")])
def test_it_stops_what_is_not_wanted_any_more(
    service: Service, spec: Make, worker: Make, verb: str, state: str
) -> None:
    service.create(slow(spec))
    over = threading.Event()
    thread = in_thread(worker(service), until=over.is_set)
    wait_for(lambda: service.study("s").progress.epochs.trained > 0)
    getattr(service, verb)("s")
    wait_for(lambda: service.workers()[0].state == "idle")
    assert service.trial("s", 0).state == state
    trained = service.study("s").progress.epochs.trained
    time.sleep(0.7)
    assert service.study("s").progress.epochs.trained == trained
    over.set()
    thread.join(10)


class Rung:
    """The verbs of a service with a rung: every trial waits at epoch 3; the even ones go on, the odd ones stop."""

    def __init__(self, service: Service) -> None:
        self.release = service.release
        self._service = service
        self.waiting: list[int] = []
        self.decided: list[int] = []
        self.holds: list[int | None] = []
        self.seen: list[tuple[int, int | None]] = []

    def _until_3(self, answer: Any) -> Any:
        cut = [item.model_copy(update={"until_epoch": 3}) for item in answer.assignments]
        return answer.model_copy(update={"assignments": tuple(cut)})

    def lease(self, request: LeaseRequest) -> Any:
        return self._until_3(self._service.lease(request))

    def report(self, lease: str, request: ReportRequest) -> Any:
        self.holds.append(request.hold)
        answer = self._service.report(lease, request)
        told = [(report.trial, point.epoch) for report in request.reports for point in report.points]
        self.seen += told
        self.waiting += [number for number, epoch in told if epoch == 3]
        directives = [{"study": "s", "trial": number, "do": "wait", "why": "rung"} for number, e in told if e == 3]
        if len(self.waiting) == 8 and not told and not self.decided:
            self.decided = list(self.waiting)
            for number in self.decided:
                do = {"do": "stop"} if number % 2 else {"do": "continue", "until_epoch": 10}
                directives.append({"study": "s", "trial": number, "why": "rung", **do})
                if number % 2:
                    self._service.cancel_trial("s", number)
        told_to = tuple(Directive.model_validate(item) for item in directives)
        return self._until_3(answer).model_copy(update={"directives": (*answer.directives, *told_to)})


def test_trials_wait_at_rungs_and_go_on(service: Service, spec: Make, worker: Make, values: Make) -> None:
    service.create(spec(name="whole"))
    worker(service, study="whole").run()
    service.create(spec())
    rung = Rung(service)
    worker(rung, study="s").run()
    trials = service.trials("s").items
    assert [trial.state for trial in trials] == ["completed", "cancelled"] * 4
    assert [trial.value for trial in trials][::2] == list(values("whole").values())[::2]
    assert sorted(rung.seen) == [(number, epoch) for number in range(8) for epoch in range(1, 4 if number % 2 else 11)]
    assert service.study("s").progress.epochs.repeated == 0


def test_it_asks_for_one_trial_and_then_for_all_it_can_use(service: Service, spec: Make, worker: Make) -> None:
    asked: list[int | None] = []

    class Door:
        release = staticmethod(service.release)

        @staticmethod
        def lease(request: LeaseRequest) -> Any:
            asked.append(request.hold)
            return service.lease(request)

        @staticmethod
        def report(lease: str, request: ReportRequest) -> Any:
            asked.append(request.hold)
            return service.report(lease, request)

    service.create(spec(budget={"trials": 40}))
    worker(Door, study="s").run()
    assert asked[0] == 1
    assert max(hold for hold in asked if hold is not None) >= 40
    del asked[:]
    service.create(spec(name="bounded", budget={"trials": 40}))
    worker(Door, study="bounded", hold=5).run()
    assert max(hold for hold in asked if hold is not None) == 5


class Broken(LeastSquares):
    """A task whose data cannot be had."""

    name = "broken"
    version = "1"

    def data(self) -> Any:
        raise ZeroDivisionError("no\x00data")


def test_what_a_task_raises_fails_the_trial(service: Service, spec: Make, worker: Make) -> None:
    working = worker(service, {"broken": Broken}, study="s")
    service.lease(LeaseRequest(worker="x", hold=0, tasks=(Broken.description(),)))
    service.create(spec(task="broken", limits={"failures_in_a_row": 3}))
    working.run()
    study = service.study("s")
    assert study.state == "failed"
    assert study.error is not None
    assert "ZeroDivisionError" in study.error
    assert study.progress.trials["failed"] == 3


def test_a_trainer_that_breaks_fails_the_trial(service: Service, spec: Make, worker: Make) -> None:
    class Breaks(Trainer):
        def step(self) -> Any:
            raise RuntimeError("out of \x1b memory")

    service.create(spec(limits={"failures_in_a_row": 2}))
    Worker(service, Breaks({"least-squares": LeastSquares}, PrefixStore()), study="s").run()
    trial = service.trial("s", 0)
    assert (trial.state, trial.error) == ("failed", "RuntimeError: out of ? memory")


def test_an_unknown_study_is_said_at_once(service: Service, worker: Make) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        worker(service, study="nowhere").run()


def test_ctrl_c_hands_back(store: Store, service: Service, spec: Make, worker: Make) -> None:
    service.create(slow(spec))

    def interrupt() -> bool:
        if service.study("s").progress.epochs.trained > 3:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        worker(service, name="w", study="s").run(until=interrupt)
    assert service.trial("s", 0).state == "queued"
    assert service.workers()[0].state == "idle"
    assert not [thread for thread in threading.enumerate() if thread.name == "w talks"]


def test_real_models_too(service: Service, spec: Make, worker: Make, values: Make) -> None:
    pytest.importorskip("torch")
    from lrsearch.tasks.digits import DigitsMlp

    service.create(
        spec(task="digits-mlp", epochs=3, budget={"trials": 2}, space={"family": "step", "initial_lr": [1e-3, 1e-2]})
    )
    worker(service, {"digits-mlp": DigitsMlp}, study="s").run()
    best = service.study("s").best
    assert best is not None
    assert best.test is not None
    assert best.test["test_accuracy"] is not None
    assert best.value == min(value for value in values("s").values() if value is not None)


@pytest.mark.parametrize(
    ("pruner", "task"),
    [("asha", "least-squares"), ("hyperband", "least-squares"), ("median", "least-squares"), ("asha", "synthetic-mlp")],
)
def test_a_pruned_study_repeats_whoever_trains_it(service: Service, spec: Make, pruner: str, task: str) -> None:
    if task != "least-squares":
        pytest.importorskip("torch")
    known = {task: load_tasks()[task]}
    found = []
    for number, lanes in enumerate([(None,), (1,), (2, 7)]):
        name = f"{pruner}-{number}"
        service.create(spec(name=name, task=task, epochs=18, pruner=pruner, budget={"trials": 30}))
        workers = [
            Worker(service, Trainer(known, PrefixStore(), "cpu", lanes=most), study=name, name=f"{name}-{place}")
            for place, most in enumerate(lanes)
        ]
        threads = [in_thread(one) for one in workers]
        for thread in threads:
            thread.join(60)
        study = service.study(name)
        assert study.state == "completed"
        trials = service.trials(name, limit=100).items
        found.append([(trial.number, trial.state, trial.value, trial.metrics, trial.schedule) for trial in trials])
        assert {trial.state for trial in trials} == {"completed", "pruned"}
    assert found[0] == found[1] == found[2]
