"""The loop of the user's own code: what it is handed, what is made of what it reports."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from lrsearch.client import Client
from lrsearch.errors import InvalidInput, NotFound
from lrsearch.external import LiveTrial, trials
from lrsearch.service import Service, Settings
from lrsearch.study import LeaseRequest, StudySpec

Verbs = Service | Client
Make = Callable[..., StudySpec]


def loss(trial: LiveTrial, epoch: int) -> float:
    return abs(math.log10(trial.schedule.initial_lr) + 1.5) + 1 / (1 + epoch)


def train(trial: LiveTrial) -> None:
    for epoch in range(trial.start, trial.epochs):
        trial.report(val_loss=loss(trial, epoch), train_loss=0.5)
        if trial.should_stop:
            return


def break_down(verbs: Verbs, error: BaseException) -> None:
    for trial in trials(verbs, "own"):
        with trial:
            trial.report(val_loss=1.0)
            raise error


def test_how_long_a_trial_took_is_known(verbs: Verbs, service: Service, external: Make) -> None:
    verbs.create(external(epochs=1, budget={"trials": 2}))
    for trial in trials(verbs, "own"):
        with trial:
            time.sleep(0.02)
            train(trial)
    for row in service.trials("own").items:
        (point,) = service.curve("own", row.number)
        assert row.seconds == point.seconds
        assert point.seconds is not None
        assert point.seconds >= 0.02
        assert row.started_at is not None
        assert row.finished_at is not None
        assert row.created_at <= row.started_at < row.finished_at


def test_the_loop_of_the_contract(verbs: Verbs, service: Service, external: Make) -> None:
    verbs.create(external())
    seen = []
    for trial in trials(verbs, "own"):
        with trial:
            train(trial)
        seen.append(
            (
                trial.number,
                trial.epochs,
                trial.seed,
                trial.options,
                trial.params == {"initial_lr": trial.schedule.initial_lr},
            )
        )
    assert seen == [(number, 5, 0, {"width": 8}, True) for number in range(6)]
    study = service.study("own")
    assert study.state == "completed"
    rows = service.trials("own").items
    assert [row.value for row in rows] == [
        pytest.approx(abs(math.log10(row.schedule.initial_lr) + 1.5) + 0.2) for row in rows
    ]
    assert study.best is not None
    assert study.best.value == min(row.value for row in rows if row.value is not None)
    assert study.progress.epochs.trained == 30
    assert list(trials(verbs, "own")) == []


def test_the_next_turn_completes_a_trial_without_a_block(verbs: Verbs, service: Service, external: Make) -> None:
    verbs.create(external())
    for trial in trials(verbs, "own"):
        train(trial)
    assert service.study("own").progress.trials == {"completed": 6}


def test_it_is_over_http_as_the_readme_says(verbs: Verbs, service: Service, external: Make) -> None:
    verbs.create(external())
    if isinstance(verbs, Client):
        for trial in verbs.trials("own"):
            with trial:
                train(trial)
        assert service.study("own").progress.trials == {"completed": 6}


def test_leaving_a_block_early_takes_the_last_report(verbs: Verbs, service: Service, external: Make) -> None:
    verbs.create(external(budget={"trials": 1}))
    for trial in trials(verbs, "own"):
        with trial:
            trial.report(val_loss=0.75)
    assert service.trial("own", 0).value == 0.75


def test_what_was_not_finite_diverges(verbs: Verbs, service: Service, external: Make) -> None:
    verbs.create(external(budget={"trials": 2}))
    for trial in trials(verbs, "own"):
        with trial:
            trial.report(val_loss=math.nan if trial.number == 0 else 1.0, grad_norm=math.inf)
    assert [row.state for row in service.trials("own").items] == ["diverged", "completed"]
    assert service.curve("own", 0)[0].metrics == {"val_loss": None, "grad_norm": None}


def test_a_trial_that_reports_nothing_fails_and_says_why(verbs: Verbs, service: Service, external: Make) -> None:
    verbs.create(external(budget={"trials": 1}))
    for trial in trials(verbs, "own"):
        with trial:
            pass
    row = service.trial("own", 0)
    assert row.state == "failed"
    assert "val_loss" in (row.error or "")


def test_an_exception_fails_the_trial_and_goes_on_its_way(verbs: Verbs, service: Service, external: Make) -> None:
    verbs.create(external())
    with pytest.raises(RuntimeError, match="out of memory"):
        break_down(verbs, RuntimeError("out of memory"))
    row = service.trial("own", 0)
    assert (row.state, row.error) == ("failed", "RuntimeError: out of memory")
    for trial in trials(verbs, "own"):
        with trial:
            train(trial)
    assert service.study("own").progress.trials == {"failed": 1, "completed": 5}


def test_ctrl_c_hands_the_trial_back(verbs: Verbs, service: Service, external: Make) -> None:
    verbs.create(external())
    with pytest.raises(KeyboardInterrupt):
        break_down(verbs, KeyboardInterrupt())
    assert service.trial("own", 0).state == "queued"


@pytest.mark.parametrize(("n_reports", "state"), [(5, "completed"), (2, "queued")])
def test_a_loop_that_is_left(verbs: Verbs, service: Service, external: Make, n_reports: int, state: str) -> None:
    verbs.create(external())
    loop = trials(verbs, "own")
    trial = next(loop)
    for _ in range(n_reports):
        trial.report(val_loss=0.5)
    loop.close()  # type: ignore[attr-defined]
    assert service.trial("own", 0).state == state


def test_a_trial_lost_is_trained_from_its_beginning(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 1}))
    loop = trials(service, "own")
    lost = next(loop)
    lost.report(val_loss=3.0)
    lost.report(val_loss=2.0)
    loop.close()  # type: ignore[attr-defined]
    again = next(loop := trials(service, "own"))
    assert (again.attempt, again.start, again.reported) == (2, 0, 2)
    with again:
        train(again)
    assert next(loop, None) is None
    row = service.trial("own", 0)
    assert (row.epochs.trained, row.epochs.repeated) == (7, 2)
    assert [point.epoch for point in service.curve("own", 0)] == [1, 2, 3, 4, 5]


def test_a_trial_goes_on_from_the_users_checkpoint(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 1}))
    loop = trials(service, "own")
    lost = next(loop)
    lost.report(val_loss=3.0)
    lost.report(val_loss=2.0)
    loop.close()  # type: ignore[attr-defined]
    again = next(loop := trials(service, "own"))
    with pytest.raises(InvalidInput, match="at most 2 epochs"):
        again.resume(3)
    again.resume(2)
    with again:
        train(again)
    assert next(loop, None) is None
    assert service.trial("own", 0).epochs.trained == 5


def test_it_stops_what_is_not_wanted_any_more(verbs: Verbs, service: Service, external: Make) -> None:
    verbs.create(external(budget={"trials": 2}))
    reports = []
    for trial in trials(verbs, "own"):
        with trial:
            for epoch in range(trial.epochs):
                if trial.number == 0 and epoch == 2:
                    verbs.cancel_trial("own", 0)
                trial.report(val_loss=1.0)
                reports.append(trial.number)
                if trial.should_stop:
                    break
    assert reports == [0, 0, 0, 1, 1, 1, 1, 1]
    assert [row.state for row in service.trials("own").items] == ["cancelled", "completed"]


def test_the_lease_is_renewed_while_it_trains(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 1}))
    hasty = Service(service.store, Settings(lease_seconds=1))
    for trial in trials(hasty, "own"):
        with trial:
            trial.report(val_loss=1.0)
            time.sleep(1.5)  # longer than a lease
            hasty.reap()
            assert service.trial("own", 0).state == "running"
    assert service.trial("own", 0).attempts == 1


def test_a_trial_that_somebody_else_took_over_is_dropped(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 1}))
    loop = trials(service, "own", worker="me")
    trial = next(loop)
    trial.report(val_loss=1.0)
    taken = service.lease(LeaseRequest(worker="me", hold=1, study="own", tasks=()))
    trial.report(val_loss=2.0)
    assert trial.should_stop
    assert service.trial("own", 0).attempts == taken.assignments[0].attempt == 2
    assert [point.metrics["val_loss"] for point in service.curve("own", 0)] == [1.0]
    loop.close()  # type: ignore[attr-defined]


def test_two_loops_share_a_study(verbs: Verbs, service: Service, external: Make) -> None:
    verbs.create(external(budget={"trials": 12}))
    done: dict[str, list[int]] = {"a": [], "b": []}

    def loop(name: str) -> None:
        for trial in trials(verbs, "own", worker=name):
            with trial:
                train(trial)
                time.sleep(0.02)
            done[name].append(trial.number)

    threads = [threading.Thread(target=loop, args=(name,)) for name in done]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(done["a"] + done["b"]) == list(range(12))
    assert done["a"]
    assert done["b"]


def test_metrics_are_numbers_and_epochs_are_counted(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 1}))
    trial = next(loop := trials(service, "own"))
    wrong: Any = "low"
    with pytest.raises(InvalidInput, match="val_loss"):
        trial.report(val_loss=wrong)
    train(trial)
    with pytest.raises(InvalidInput, match="5 epochs"):
        trial.report(val_loss=0.0)
    assert next(loop, None) is None


def test_only_external_studies_are_looped_over(verbs: Verbs) -> None:
    with pytest.raises(NotFound):
        trials(verbs, "nowhere")
    verbs.create(StudySpec.read({"name": "trained", "task": "least-squares", "epochs": 2, "space": {"family": "step"}}))
    with pytest.raises(InvalidInput, match="external"):
        trials(verbs, "trained")


@pytest.mark.parametrize("pruner", ["asha", {"name": "hyperband", "compare": "same-phase"}])
def test_rungs_stop_a_loop_for_good(service: Service, external: Make, pruner: Any) -> None:
    """A loop cannot be paused: at a rung it goes on or is pruned, whoever else is at work."""
    ends = []
    for name, n_workers in (("own", 1), ("others", 3)):
        service.create(external(name=name, pruner=pruner, epochs=9, budget={"trials": 40}))

        def work(name: str = name) -> None:
            for trial in trials(service, name, worker=f"{name}-{threading.get_ident()}"):
                with trial:
                    train(trial)

        threads = [threading.Thread(target=work) for _ in range(n_workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        items = service.trials(name, limit=100).items
        ends.append([(trial.params, trial.state, trial.value, trial.epochs.trained) for trial in items])
    assert ends[0] == ends[1]
    states = [state for _, state, _, _ in ends[0]]
    assert set(states) == {"completed", "pruned"}
    assert 4 < states.count("completed") < 36
