"""Studies under asha and hyperband, played by workers that park what waits: the service decides, they obey."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrsearch.errors import Conflict
from lrsearch.service import Service, Settings
from lrsearch.study import (
    Point,
    Report,
    ReportRequest,
    StudyPatch,
    TaskOffer,
)

from .climber import Climber

ASHA = {"pruner": {"name": "asha", "reduction_factor": 2}, "epochs": 8}


def decided(service: Service, name: str) -> list[Any]:
    return [
        (trial.params, trial.state, trial.value, trial.epochs.trained + trial.epochs.shared - trial.epochs.repeated)
        for trial in service.trials(name, limit=1000).items
    ]


def over(service: Service, name: str) -> bool:
    return service.study(name).state in ("completed", "failed")


def play(service: Service, name: str, rng: random.Random, offers: tuple[TaskOffer, ...], n: int, hold: int) -> None:
    """Workers on one study until it is over; now and then one of them is lost, or the service begins anew."""
    workers = [Climber(service, f"{name}-{number}", offers) for number in range(n)]
    for worker in workers:
        worker.ask(hold, name)
    for _ in range(5000):
        if over(service, name):
            return
        worker = rng.choice(workers)
        event = rng.random()
        if event < 0.02:
            worker.ask(hold, name)
        elif event < 0.04:
            fresh = Service(service.store, service.settings)
            for each in workers:
                each.service = fresh
        worker.act(rng, hold)
    raise AssertionError(f"{name} did not end: {service.study(name).progress}")


@pytest.fixture
def offers(toy) -> tuple[TaskOffer, ...]:
    worker = toy("hello")
    worker.ask(hold=0)
    return worker.offers


PRUNERS = {
    "asha": ASHA["pruner"],
    "late": {"name": "asha", "min_epochs": 2, "reduction_factor": 3},
    "hyperband": {"name": "hyperband", "reduction_factor": 2},
    "same-phase": {"name": "asha", "reduction_factor": 2, "compare": "same-phase"},
}


CLIMBS = [("sqlite", name, ()) for name in PRUNERS] + [("postgres", name, pytest.mark.slow) for name in PRUNERS]
CLIMBED = [pytest.param(kind, name, marks=marks) for kind, name, marks in CLIMBS]


@pytest.mark.parametrize(("database_url", "pruner"), CLIMBED, indirect=["database_url"])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_any_number_of_workers_in_any_order_gives_the_same_study(service, spec, offers, pruner, sampler):
    service = Service(service.store, Settings(lease_seconds=60, max_lost=1000, poison_seconds=0))
    space = {"family": ["cosine", "constant"], "initial_lr": {"low": 1e-2, "high": 1.0, "log": True}}
    fields = {
        "sampler": {"name": sampler, "seed": 5},
        "pruner": PRUNERS[pruner],
        "epochs": 8,
        "space": space,
        "baselines": [{"family": "constant", "initial_lr": 0.5}],
        "budget": {"trials": 26},
        "confirm": {"top": 1, "seeds": 2},
    }
    studies = {}
    for seed, (n, hold) in enumerate([(1, 1), (1, 8), (2, 3), (3, 30)]):
        name = f"s{seed}"
        service.create(spec(name=name, **fields))
        play(service, name, random.Random(seed), offers, n, hold)
        study = service.study(name)
        assert study.state == "completed"
        assert study.best is not None
        studies[n, hold] = (decided(service, name), study.best.trial, study.best.confirmed)
    one = studies[1, 1]
    for other in studies.values():
        assert other == one
    states = {state for _, state, _, _ in one[0]}
    assert {"completed", "pruned"} <= states
    assert one[0][0][1] == "completed", "a baseline runs to its horizon"


@settings(max_examples=settings().max_examples // 8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_interleavings(service, spec, offers, data):
    """As above, the interleaving, the spec and the size drawn by Hypothesis."""
    n_trials = data.draw(st.integers(1, 12), label="trials")
    seeds = data.draw(st.integers(1, 2), label="seeds")
    pruner = data.draw(st.sampled_from(list(PRUNERS.values())))
    fields = ASHA | {"pruner": pruner, "sampler": "random", "budget": {"trials": n_trials}, "train": {"seeds": seeds}}
    name = uuid.uuid4().hex
    service = Service(service.store, Settings(lease_seconds=60, max_lost=1000, poison_seconds=0))
    ends = []
    for run in range(2):
        service.create(spec(name=f"{name}-{run}", **fields))
        hold, n = data.draw(st.integers(1, 12), label="hold"), data.draw(st.integers(1, 3), label="workers")
        play(service, f"{name}-{run}", random.Random(data.draw(st.integers(0, 2**32), label="order")), offers, n, hold)
        ends.append(decided(service, f"{name}-{run}"))
    assert ends[0] == ends[1]
    finite = [params for params, *_ in ends[0] if params["initial_lr"] <= 0.8]
    assert not finite or any(state == "completed" for _, state, *_ in ends[0])


@pytest.mark.parametrize("patch", [{"labels": {"a": "b"}}, {"budget": {"trials": 16}}])
def test_a_patch_changes_nothing_that_was_decided(service, spec, offers, patch):
    """What was drawn ahead of the workers is drawn again, and no rung waits for what is not."""
    space = {"family": "cosine", "initial_lr": [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "warmup": [0, 1]}
    ends = []
    for name in ("plain", "patched"):
        service.create(spec(**ASHA, name=name, space=space, sampler="grid", budget={}))
        worker = Climber(service, name, offers)
        worker.ask(2, name)
        worker.say(worker.report_on(0), hold=2)
        if name == "patched":
            service.patch(name, StudyPatch.model_validate(patch))
        service.release(worker.lease)
        play(service, name, random.Random(1), offers, 2, 3)
        ends.append(decided(service, name))
    assert len(ends[0]) == 16
    assert ends[0] == ends[1]


def test_rungs_are_part_of_what_is_foreseen(service, spec, offers):
    """Epochs expected, and while it runs about what is left of them: nothing is said of epochs nobody will train."""
    whole = spec(**ASHA, budget={"trials": 60}, train={"seeds": 2})
    cost = service.cost(whole)
    assert cost.epochs_asked == 60 * 8 * 2
    assert cost.epochs_expected == 60 * 2 * (1 + 1 / 2 + 2 / 4 + 4 / 8)
    assert service.cost(spec(epochs=8)).epochs_expected is None
    service.create(whole)
    worker = Climber(service, "w", offers)
    worker.ask(4, "s")
    n_told = 0
    while not over(service, "s"):
        worker.say(*[worker.report_on(number) for number in worker.ready], hold=4)
        progress = service.study("s").progress
        if progress.seconds.left is not None:
            n_told += 1
            to_come = max(cost.epochs_expected - progress.epochs.asked, 0)
            assert 0 <= progress.seconds.left <= progress.seconds.elapsed / progress.epochs.asked * to_come + 1e-9
    assert n_told > 10
    assert service.study("s").progress.seconds.left is None
    assert service.study("s").progress.epochs.asked == pytest.approx(cost.epochs_expected, rel=0.35)


def test_waiting_trials_leave_room_and_go_on_with_their_lease(service, spec, offers):
    service.create(spec(**ASHA, sampler="random", budget={"trials": 4}))
    worker = Climber(service, "w", offers)
    worker.ask(hold=1)
    assert [its.until_epoch for its in worker.held.values()] == [1]
    answer = worker.say(worker.report_on(0))
    assert [(it.trial, it.do) for it in answer.directives] == [(0, "wait")]
    assert [it.trial for it in answer.assignments] == [1], "what waits leaves room"
    assert service.study("s").progress.trials == {"running": 1, "waiting": 1}
    answer = worker.say(worker.report_on(1))
    (promoted,) = [it for it in answer.directives if it.do == "continue"]
    assert promoted.until_epoch == 2
    again = worker.say()
    assert [it for it in again.directives if it.do == "continue"] == [promoted], "until it has reported further"
    worker.say(worker.report_on(promoted.trial))
    assert not [it for it in worker.say().directives if it.trial == promoted.trial]


def test_a_promoted_trial_whose_lease_is_gone_is_handed_out_again(service, spec, offers):
    service.create(spec(**ASHA, sampler="random", budget={"trials": 2}))
    first, second = Climber(service, "a", offers), Climber(service, "b", offers)
    first.ask(hold=1)
    first.say(first.report_on(0), hold=0)
    service.release(first.lease)
    assert service.trial("s", 0).state == "waiting"
    second.ask(hold=2)
    assert list(second.held) == [1], "what waits is not handed out"
    second.loss = lambda its, epoch: 1e9
    second.say(second.report_on(1))
    assert {number: (its.attempt, its.reported, its.until_epoch) for number, its in second.held.items()} == {
        0: (2, 1, 2),
        1: (1, 0, 1),
    }


def test_an_idle_workers_heartbeat_brings_promotions(service, spec, offers):
    """The trial that it waits for is in somebody else's hands."""
    service.create(spec(**ASHA, sampler="random", budget={"trials": 2}))
    slow, quick = Climber(service, "a", offers, lambda *_: 5.0), Climber(service, "b", offers, lambda *_: 1.0)
    slow.ask(hold=1)
    quick.ask(hold=1)
    quick.say(quick.report_on(1))
    assert not quick.ready
    assert not quick.say().directives
    slow.say(slow.report_on(0))
    quick.say()
    assert quick.ready == [1]


def test_a_pause_keeps_what_waits(service, spec, offers):
    service.create(spec(**ASHA, sampler="random", budget={"trials": 2}))
    worker = Climber(service, "w", offers)
    worker.ask(hold=2)
    worker.say(worker.report_on(0))
    service.pause("s")
    answer = worker.say()
    assert {(it.trial, it.do, it.why) for it in answer.directives} == {(0, "stop", "paused"), (1, "stop", "paused")}
    assert service.study("s").progress.trials == {"queued": 1, "waiting": 1}
    service.resume("s")
    play(service, "s", random.Random(0), offers, n=1, hold=1)
    assert sorted(trial.state for trial in service.trials("s").items) == ["completed", "pruned"]


def test_cancelling_what_waits(service, spec, offers):
    service.create(spec(**ASHA, sampler="random", budget={"trials": 2}))
    worker = Climber(service, "w", offers)
    worker.ask(hold=2)
    worker.say(worker.report_on(0))
    assert service.cancel_trial("s", 0).state == "cancelled"
    assert [(it.trial, it.do, it.why) for it in worker.say().directives] == [(0, "stop", "cancelled")]
    service.release(worker.lease)
    play(service, "s", random.Random(0), offers, n=1, hold=1)
    assert [trial.state for trial in service.trials("s").items] == ["cancelled", "completed"]


def test_cancelling_the_study_cancels_what_waits(service, spec, offers):
    service.create(spec(**ASHA, sampler="random", budget={"trials": 2}))
    worker = Climber(service, "w", offers)
    worker.ask(hold=2)
    worker.say(worker.report_on(0))
    service.cancel("s")
    assert service.study("s").progress.trials == {"cancelled": 2}


def test_a_larger_budget_goes_on_with_new_trials(service, spec, offers):
    service.create(spec(**ASHA, sampler="random", budget={"trials": 6}))
    play(service, "s", random.Random(0), offers, n=2, hold=2)
    before = decided(service, "s")
    service.patch("s", StudyPatch.model_validate({"budget": {"trials": 18}}))
    play(service, "s", random.Random(1), offers, n=2, hold=3)
    after = decided(service, "s")
    assert len(after) == 18
    assert after[:6] == before, "what has ended stays as it is"
    assert {state for _, state, *_ in after[6:]} >= {"completed", "pruned"}


def test_a_larger_budget_while_the_last_trials_run(service, spec, offers):
    """The end of arrivals had promoted somebody; with more arrivals to come that trial just goes on."""
    service.create(spec(**ASHA | {"pruner": {"name": "asha", "reduction_factor": 4}}, budget={"trials": 2}))
    worker = Climber(service, "w", offers)
    worker.ask(hold=2)
    worker.say(worker.report_on(0), worker.report_on(1))
    assert len(worker.ready) == 1
    service.patch("s", StudyPatch.model_validate({"budget": {"trials": 9}}))
    service.release(worker.lease)
    play(service, "s", random.Random(0), offers, n=1, hold=2)
    assert service.study("s").state == "completed"


def test_a_point_beyond_the_rung_is_refused(service, spec, offers):
    service.create(spec(**ASHA, sampler="random"))
    worker = Climber(service, "w", offers)
    worker.ask(hold=1)
    points = tuple(Point(epoch=epoch, metrics={"val_loss": 1.0}) for epoch in (1, 2))
    report = Report(study="s", trial=0, attempt=1, points=points)
    answer = service.report(worker.lease, ReportRequest(reports=(report,)))
    assert [it.reason for it in answer.rejected] == ["epoch 2 lies beyond until_epoch = 1"]


def test_a_trial_without_the_objective_fails_at_its_rung(service, spec, offers):
    service.create(spec(**ASHA, sampler="random"))
    worker = Climber(service, "w", offers)
    worker.ask(hold=1)
    report = Report(study="s", trial=0, attempt=1, points=(Point(epoch=1, metrics={"loss": 1.0}),))
    worker.say(report)
    trial = service.trial("s", 0)
    assert (trial.state, trial.error) == ("failed", "the metric `val_loss` was not reported at epoch 1")


def test_waiting_is_not_being_lost(service, spec, offers):
    once = Service(service.store, Settings(max_lost=1))
    once.create(spec(**ASHA, sampler="random", budget={"trials": 2}))
    worker = Climber(once, "w", offers)
    worker.ask(hold=1)
    worker.say(worker.report_on(0), hold=0)
    worker.ask(hold=0)
    assert service.trial("s", 0).state == "waiting"


def test_a_lease_whose_trials_all_wait_takes_another_recipe(service, spec, offers):
    service.create(spec(name="a", **ASHA, sampler="random", budget={"trials": 2}))
    one, two = Climber(service, "one", offers), Climber(service, "two", offers)
    one.ask(hold=1)
    two.ask(hold=1)
    service.create(spec(name="b", options={"width": 9}, sampler="random"))
    answer = two.say(two.report_on(1))
    assert [(it.study, it.trial) for it in answer.assignments] == [("b", 0)]
    assert [(it.study, it.do) for it in answer.directives if it.do == "stop"] == [("a", "stop")]
    assert service.trial("a", 1).state == "waiting"


def test_rungs_need_room_below_the_horizon(service, spec, offers):
    with pytest.raises(ValueError, match="there is no rung"):
        spec(epochs=1, pruner="asha")
    service.create(spec(**ASHA, budget={"trials": 1}))
    play(service, "s", random.Random(0), offers, n=1, hold=1)
    with pytest.raises(Conflict, match="completed"):
        service.cancel_trial("s", 0)


def test_an_end_that_is_told_after_its_last_point(service, spec, offers):
    """A decay in the last epoch puts a rung at the horizon: what is known there lets nobody move yet."""
    space = {"family": "step", "initial_lr": [0.1, 0.2, 0.3, 0.4], "decay_rate": 0.1, "step_size": 8, "warmup": 0}
    pruner = {"name": "asha", "reduction_factor": 3, "compare": "same-phase"}
    service.create(spec(space=space, epochs=9, sampler="grid", pruner=pruner))
    worker = Climber(service, "w", offers)
    worker.ask(hold=4)
    reports = [worker.report_on(number, epochs=9) for number in worker.ready]
    assert all(len(report.points) == 9 for report in reports)
    worker.say(*(report.model_copy(update={"result": None}) for report in reports))
    for report in reports:  # the first end makes the service look at those that have not ended
        worker.say(report.model_copy(update={"points": ()}))
    assert [service.trial("s", number).state for number in range(4)] == ["completed"] * 4
