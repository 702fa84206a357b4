"""Leases against a plain model, in any order: ask, report, repeat, fall silent, die, restart, pause, cancel, retry."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from lrsearch.errors import Conflict
from lrsearch.service import Service, Settings
from lrsearch.store import Store
from lrsearch.study import LeaseRequest, Point, Report, ReportRequest, Result, TaskOffer, TrialRequest, read_spec

from ..clock import Clock
from .emptied import file_databases, one_database
from .invariants import Row, Watch
from .model import ENDED, EPOCHS, LEASE, LEASE_TICKS, TICK, Holder, Model, TrialModel

TOY = TaskOffer.model_validate(
    {
        "name": "toy",
        "train_examples": 64,
        "metrics": {"val_loss": "minimize"},
        "defaults": {"optimizer": "sgd", "batch_size": 16, "initial_lr": {"low": 1e-3, "high": 1.0, "log": True}},
    }
)
KINDS = {
    "random": {"sampler": "random"},
    "asha": {"sampler": "random", "pruner": {"name": "asha", "reduction_factor": 2}},
    "median": {"sampler": "random", "pruner": {"name": "median", "startup_trials": 1, "startup_epochs": 1}},
    "grid": {"sampler": "grid", "space": {"family": "step", "initial_lr": [0.1, 0.01], "decay_rate": [0.1, 0.5]}},
}
WORKERS = ("a", "b", "c")
SUGGESTED: dict[tuple[str, int], dict] = {}
"""Trial n of a kind of study is the same in every run, whatever happened before it was drawn."""


def loss(trial: int, epoch: int) -> float:
    return (trial * 7 % 5 + 1) / epoch


class LeaseMachine(RuleBasedStateMachine):
    """The service, three workers, and a model of what both should believe."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.clock = Clock(self.patch)
        self.store = Store(url)
        self.watch = Watch(url)
        self.model = Model()
        self.held: dict[str, dict] = {}
        """What each lease ever given was assigned, by (study, trial)."""
        self.lease: dict[str, str] = {}
        self.zombies: list[str] = []
        """Leases whose workers were killed or stopped; what they held may still come in."""
        self.last: dict[str, ReportRequest] = {}
        self.ranked: dict[str, dict] = {}
        self.service = self.begun()
        self.study("random", 3)

    def begun(self) -> Service:
        self.ranked.clear()
        return Service(self.store, Settings(lease_seconds=LEASE))

    def teardown(self) -> None:
        self.store.close()
        self.watch.close()
        self.patch.undo()

    def look(self) -> None:
        self.service.reap()
        self.model.look()

    # --- studies

    @rule(kind=st.sampled_from(sorted(KINDS)), trials=st.integers(1, 4))
    def study(self, kind: str, trials: int) -> None:
        name = f"{kind}-{sum(its.startswith(kind) for its in self.model.studies)}"
        if len(self.model.studies) == 4:
            return
        space = {"family": "cosine", "initial_lr": {"low": 1e-3, "high": 1.0, "log": True}}
        fields = {"name": name, "task": "toy", "epochs": EPOCHS, "space": space, "budget": {"trials": trials}}
        spec = read_spec(fields | {"limits": {"failures_in_a_row": None}} | KINDS[kind])
        if not self.model.studies:
            self.service.lease(LeaseRequest(worker="teller", hold=0, tasks=(TOY,)))  # the task is known from now on
        first, new = self.service.create(spec, key=name, owner=kind)
        assert (first.state, new) == ("queued", True)
        again, _ = self.service.create(spec, key=name, owner=kind)
        assert again.model_dump_json() == first.model_dump_json(), "I7"
        self.model.studies[name] = "open"

    def open(self) -> list[str]:
        return sorted(name for name, state in self.model.studies.items() if state in ("open", "paused"))

    @precondition(lambda self: self.open())
    @rule(data=st.data())
    def pause_or_resume(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.open()))
        try:
            if self.model.studies[name] == "paused":
                self.service.resume(name)
                self.model.studies[name] = "open"
            else:
                self.service.pause(name)
                self.model.studies[name] = "paused"
        except Conflict:
            assert self.service.study(name).state in ENDED

    @precondition(lambda self: self.open())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.open()))
        try:
            self.service.cancel(name)
        except Conflict:
            assert self.service.study(name).state in ENDED
            return
        self.model.studies[name] = "cancelled"
        for (study, _), trial in self.model.trials.items():
            if study == name and trial.state not in ENDED:
                trial.state, trial.told = "cancelled", trial.holder is None

    @precondition(lambda self: self.model.trials)
    @rule(data=st.data())
    def cancel_trial(self, data: st.DataObject) -> None:
        name, number = where = data.draw(st.sampled_from(sorted(self.model.trials)))
        trial = self.model.trials[where]
        if trial.state in ENDED - {"cancelled"}:
            with pytest.raises(Conflict):
                self.service.cancel_trial(name, number)
            return
        assert self.service.cancel_trial(name, number).state == "cancelled"
        if trial.state != "cancelled":
            trial.state, trial.told = "cancelled", trial.holder is None

    @precondition(lambda self: self.model.trials)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        name, number = where = data.draw(st.sampled_from(sorted(self.model.trials)))
        try:
            new = self.service.add_trial(name, TrialRequest(retry=number))
        except Conflict:
            return  # it has not ended, or its study takes no more: the budget is checked elsewhere
        assert self.model.trials[where].state in ENDED
        assert (new.retry_of, new.params) == (number, self.service.trial(name, number).params)

    # --- workers

    @rule(worker=st.sampled_from(WORKERS), hold=st.integers(0, 3))
    def ask(self, worker: str, hold: int) -> None:
        self.model.look()
        self.model.take_over(worker)
        answer = self.service.lease(LeaseRequest(worker=worker, hold=hold, tasks=(TOY,)))
        self.lease[worker] = answer.lease
        self.held[answer.lease] = {}
        self.model.leases[answer.lease] = Holder(worker, self.model.now)
        assert len(answer.assignments) <= hold
        self.given(answer.lease, answer.assignments)

    def given(self, lease: str, assignments) -> None:
        for its in assignments:
            where = (its.study, its.trial)
            trial = self.model.trials.setdefault(where, TrialModel())
            assert self.model.studies[its.study] == "open"
            if where in self.held[lease] and trial.holder == lease and its.attempt == trial.attempts:
                assert trial.heard < trial.attempts or its.until_epoch > trial.epochs, "repeated until it was heard"
            else:
                assert trial.holder is None, f"I3: {where} is held by a living lease"
                assert trial.state in ("queued", "waiting"), f"I4: {where} is {trial.state}"
                assert its.attempt == trial.attempts + 1
                trial.state, trial.holder, trial.attempts = "running", lease, its.attempt
                trial.handed_at = self.model.now
            assert its.reported == trial.epochs
            kind = its.study.rpartition("-")[0]
            before = range(its.trial if kind == "grid" else 0)  # a cell tried again is one of a grid's trials
            tried_again = [self.service.trial(its.study, n).retry_of is not None for n in (*before, its.trial)]
            if its.trial < 4 and not any(tried_again):
                assert SUGGESTED.setdefault((kind, its.trial), its.params) == its.params, "I11"
            self.held[lease][where] = its

    @precondition(lambda self: self.lease)
    @rule(data=st.data(), epochs=st.integers(0, EPOCHS), how=st.sampled_from(["completed", "failed", "diverged", None]))
    def report(self, data: st.DataObject, epochs: int, how: str | None) -> None:
        worker = data.draw(st.sampled_from(sorted(self.lease)))
        self.say(self.lease[worker], data, epochs, how)

    @precondition(lambda self: self.zombies)
    @rule(data=st.data(), epochs=st.integers(0, EPOCHS), how=st.sampled_from(["completed", "failed", None]))
    def a_stopped_worker_goes_on(self, data: st.DataObject, epochs: int, how: str | None) -> None:
        self.say(data.draw(st.sampled_from(self.zombies)), data, epochs, how)

    def say(self, lease: str, data: st.DataObject, epochs: int, how: str | None) -> None:
        """A report on one trial that the lease was once given, if there is any; else a heartbeat."""
        reports = ()
        where = data.draw(st.sampled_from(sorted(self.held[lease]))) if self.held[lease] else None
        if where is not None:
            its = self.held[lease][where]
            last = min(its.reported + epochs, its.until_epoch)
            points = tuple(
                Point(epoch=n, metrics={"val_loss": loss(its.trial, n)}) for n in range(its.reported + 1, last + 1)
            )
            result = None if how is None or (how == "completed" and last < EPOCHS) else Result(state=how)
            reports = (Report(study=its.study, trial=its.trial, attempt=its.attempt, points=points, result=result),)
        request = ReportRequest(reports=reports)
        self.last[lease] = request
        self.send(lease, request)

    @precondition(lambda self: self.last)
    @rule(data=st.data())
    def the_answer_was_lost(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(list(self.last)))
        before = self.watch.epochs()
        self.send(lease, self.last[lease], again=True)
        assert self.watch.epochs() == before

    def send(self, lease: str, request: ReportRequest, *, again: bool = False) -> None:
        if lease not in self.model.leases:
            before = self.watch.trials(), self.watch.epochs()
            with pytest.raises(Conflict):
                self.service.report(lease, request)
            assert (self.watch.trials(), self.watch.epochs()) == before, "nothing of a lost lease is adopted"
            return
        answer = self.service.report(lease, request)
        self.model.leases[lease].heard_at = self.model.now
        refused = {(item.study, item.trial) for item in answer.rejected}
        orders = {(item.study, item.trial): item for item in answer.directives}
        for report in request.reports:
            self.heard(lease, report, (report.study, report.trial) in refused)
        for where, order in orders.items():
            self.ordered(lease, where, order)
        for where, trial in self.model.held(lease).items():
            if self.model.studies[where[0]] == "paused" or not trial.told:
                assert orders[where].do == "stop", f"{where} is to be stopped"
        self.given(lease, answer.assignments)

    def heard(self, lease: str, report: Report, refused: bool) -> None:
        where = (report.study, report.trial)
        trial = self.model.trials[where]
        if trial.holder != lease or trial.attempts != report.attempt or trial.state not in ("running", "waiting"):
            return
        assert not refused, f"{where} is held by this lease: its report is in order"
        if report.points or report.result:
            trial.heard = trial.attempts
        trial.epochs = max([trial.epochs, *(point.epoch or 0 for point in report.points)])
        if report.result is not None:
            trial.state, trial.holder = report.result.state, None

    def ordered(self, lease: str, where: tuple[str, int], order) -> None:
        trial = self.model.trials[where]
        stored = self.service.trial(*where)
        if order.do == "stop":
            if trial.state == "running" and stored.state == "pruned":
                trial.state = "pruned"
                trial.epochs = len(self.service.curve(*where))
            elif trial.state == "running" and self.model.studies[where[0]] == "paused":
                at_rung = trial.epochs == self.held[lease][where].until_epoch < EPOCHS
                trial.state = "waiting" if at_rung and stored.state == "waiting" else "queued"
            assert trial.state != "running"
            if trial.holder == lease:
                trial.holder, trial.told = None, True
            self.held[lease].pop(where, None)
        elif order.do == "wait":
            assert trial.epochs == self.held[lease][where].until_epoch < EPOCHS
            trial.state = "waiting"
        else:
            assert order.until_epoch > trial.epochs
            trial.state = "running"
            self.held[lease][where] = self.held[lease][where].model_copy(update={"until_epoch": order.until_epoch})

    @precondition(lambda self: self.lease)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.lease)))
        lease = self.lease.pop(worker)
        for _ in range(2):
            self.service.release(lease)
        if lease in self.model.leases:
            self.model.end(lease)

    @precondition(lambda self: self.lease)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        self.zombies.append(self.lease.pop(data.draw(st.sampled_from(sorted(self.lease)))))

    # --- time, and the service itself

    @rule(ticks=st.integers(1, LEASE_TICKS + 1))
    def time_passes(self, ticks: int) -> None:
        for _ in range(ticks):
            self.clock.forward(TICK)
            self.model.now += 1
            self.look()

    @rule(ticks=st.integers(0, 2 * LEASE_TICKS))
    def the_service_is_away(self, ticks: int) -> None:
        self.clock.forward(ticks * TICK)
        self.model.now += ticks
        self.service = self.begun()
        self.service.was_away()
        self.model.since = self.model.now
        self.look()

    # --- what must hold

    @invariant()
    def the_laws_hold_and_the_model_agrees(self) -> None:
        rows, epochs = self.watch.check(), self.watch.epochs()
        for where, row in rows.items():
            if row.attempts == 0 and where not in self.model.trials:
                continue
            trial = self.model.trials[where]
            self.follow_rungs(trial, row)
            assert (row.state, row.attempts) == (trial.state, trial.attempts), (where, row, trial)
            assert row.lease == trial.holder, (where, row, trial)
            assert len(epochs.get(where, {}).get(0, [])) == trial.epochs, (where, trial)
        assert self.model.trials.keys() <= rows.keys()
        self.the_best_is_the_best(rows)

    @staticmethod
    def follow_rungs(trial: TrialModel, row) -> None:
        """Who waits is let go on, or pruned, when the others have come as far: that is tested elsewhere."""
        rungs = {"waiting": {"waiting", "pruned", "running" if trial.holder else "queued"}}
        arrived = {"running": {"waiting", "running"}} if trial.epochs and trial.holder is None else {}
        if row.state in (rungs | arrived).get(trial.state, ()):
            if trial.state == "waiting" and row.state == "pruned":
                trial.told = trial.holder is None
            trial.state = row.state

    def the_best_is_the_best(self, rows: dict[tuple[str, int], Row]) -> None:
        """Looked at where a study's trials are others than at the last look."""
        for name in self.model.studies:
            its = {number: (row.state, row.value) for (study, number), row in rows.items() if study == name}
            if self.ranked.get(name) != its:
                best = self.service.best(name, top=50)
                assert [it.trial for it in best] == self.watch.best(name), "I9"
                self.ranked[name] = its


def runs(fresh: Callable[[], str], examples: int, steps: int, seed: int | None = None) -> None:
    settings = hypothesis.settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip

    def machine() -> LeaseMachine:
        return LeaseMachine(fresh())

    if seed is not None:
        machine = hypothesis.seed(seed)(machine)
    run_state_machine_as_test(machine, settings=settings)


def test_leases_follow_the_model() -> None:
    with file_databases() as fresh:
        runs(fresh, 30, 30)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_leases_follow_the_model_for_long(part: int) -> None:
    with file_databases() as fresh:
        runs(fresh, 250, 50, part)


def test_leases_follow_the_model_on_postgres(postgres_url: str) -> None:
    with one_database(postgres_url) as fresh:
        runs(fresh, 3, 30)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_leases_follow_the_model_on_postgres_for_long(postgres_url: str, part: int) -> None:
    with one_database(postgres_url) as fresh:
        runs(fresh, 100, 50, part)
