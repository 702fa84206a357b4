"""What waits at a rung stands in nobody's way: workers keep their leases here, and never ask anew."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from lrsearch.service import Service, Settings
from lrsearch.study import ComparisonSpec, Point, Report, StudyPatch, TaskOffer

from .climber import Climber
from .test_rungs import ASHA, over

CHOICES = {"family": "cosine", "initial_lr": [0.1, 0.2, 0.3], "final_factor": 0}


@pytest.fixture
def offers(toy) -> tuple[TaskOffer, ...]:
    worker = toy("hello")
    worker.ask(hold=0)
    return worker.offers


def turn(worker: Climber, study: str) -> None:
    """It reports on all that may go on; it asks for a lease with empty hands only."""
    if not worker.held:
        worker.ask(2, study)
    worker.say(*map(worker.report_on, worker.ready), hold=2)


def steady(service: Service, workers: dict[Climber, str]) -> None:
    """Every worker takes its turns at its study, until all are over."""
    for _ in range(100):
        if all(over(service, name) for name in workers.values()):
            return
        for worker, study in workers.items():
            turn(worker, study)
    raise AssertionError({name: service.study(name).progress for name in workers.values()})


@pytest.mark.parametrize("n", [1, 2])
def test_trials_that_lost_workers_before_they_waited(store, spec, offers, n):
    """A suspect is trained alone; once it waits, its worker trains the others."""
    short = Service(store, Settings(lease_seconds=0.05, max_lost=9))
    short.create(spec(**ASHA, sampler="random", budget={"trials": 6}))
    for name in ("a", "b"):
        Climber(short, name, offers).ask(hold=3)
        time.sleep(0.1)
    service = Service(store, Settings(lease_seconds=60))
    steady(service, {Climber(service, f"w{i}", offers): "s" for i in range(n)})
    assert service.study("s").progress.trials.keys() <= {"completed", "pruned", "diverged"}


def test_a_comparison_meets_the_same_curve_again_while_it_waits(service, spec, offers):
    body = spec(**ASHA, name=None, space=CHOICES, sampler="random", budget={"trials": 12}).model_dump(mode="json")
    arms = [{"name": name, "sampler": name} for name in ("random", "tpe")]
    service.compare(ComparisonSpec.read({"name": "c", "spec": body, "arms": arms, "repeats": 1}))
    steady(service, {Climber(service, f"w-{name}", offers): name for name in service.comparison("c").studies})
    assert service.comparison("c").state == "completed"


@pytest.mark.parametrize("again", [False, True], ids=["one service", "begun anew"])
@pytest.mark.parametrize("kept", [True, False], ids=["same lease", "lease lost"])
@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_larger_budget_while_the_last_promoted_trial_trains(service, spec, offers, epochs, kept, again):
    """With more to come it would not have been promoted yet: it goes on all the same, and nothing of it is lost."""
    pruner = {"name": "asha", "reduction_factor": 4}
    service.create(spec(**ASHA | {"pruner": pruner}, sampler="random", budget={"trials": 3}))
    worker = Climber(service, "w", offers, lambda its, epoch: 5.0 - its.trial + 1 / epoch)
    worker.ask(hold=3)
    worker.say(*map(worker.report_on, (0, 1, 2)))
    assert worker.ready == [2]
    if epochs:
        worker.say(worker.report_on(2, epochs))
    worker.loss = lambda its, epoch: 5.0 - its.trial + 1 / epoch if its.trial < 3 else its.trial / 1000
    service.patch("s", StudyPatch.model_validate({"budget": {"trials": 12}}))
    if not kept:
        service.release(worker.lease)
        worker.held = {}
    if again:
        worker.service = service = Service(service.store, service.settings)
    steady(service, {worker: "s"})
    promoted = service.trial("s", 2)
    assert (promoted.state, promoted.epochs.trained) == ("completed", 8)
    assert len(service.trials("s").items) == 12


def test_who_was_let_on_goes_on_after_a_restart_that_finds_it_before_its_next_rung(service, spec, offers):
    """By then others have arrived, and it is promoted by its values, too: by those alone it would wait at 16."""
    service.create(spec(**ASHA | {"epochs": 32}, sampler="random", budget={"trials": 1}))
    worker = Climber(service, "w", offers, lambda its, epoch: its.trial + 1 / epoch)
    worker.ask(hold=1)
    for _ in range(5):
        worker.say(worker.report_on(0))
    service.patch("s", StudyPatch.model_validate({"budget": {"trials": 60}}))
    for _ in range(4):
        worker.say(worker.report_on(0))
    assert (worker.done[0], worker.held[0].until_epoch) == (9, 32)
    while max(worker.done.values()) < 16:
        worker.say(*(worker.report_on(number) for number in worker.ready if number), hold=8)
    worker.service = service = Service(service.store, service.settings)
    worker.say()
    worker.say(worker.report_on(0, 12))
    steady(service, {worker: "s"})
    assert service.trial("s", 0).state == "completed"


def test_hours_at_a_rung_are_no_hours_of_work(service, spec, offers):
    service.create(spec(**ASHA, sampler="random", budget={"trials": 2}, limits={"trial_hours": 0.3 / 3600}))
    slow, quick = Climber(service, "a", offers, lambda *_: 5.0), Climber(service, "b", offers, lambda *_: 1.0)
    quick.ask(hold=2)
    slow.ask(hold=0)
    quick.say(quick.report_on(0), hold=1)
    time.sleep(0.4)
    quick.say(quick.report_on(1), hold=1)
    quick.say()
    (number,) = quick.ready
    quick.say(quick.report_on(number))
    assert service.trial("s", number).state == "running"
    time.sleep(0.4)
    assert (number, "stop", "failed") in [(it.trial, it.do, it.why) for it in quick.say().directives]


def test_hours_of_a_pause_are_no_hours_of_work(service, spec, offers):
    service.create(spec(sampler="random", epochs=8, budget={"trials": 1}, limits={"trial_hours": 0.3 / 3600}))
    worker = Climber(service, "w", offers)
    worker.ask(hold=1)
    worker.say(worker.report_on(0))
    service.pause("s")
    worker.say()
    time.sleep(0.4)
    service.resume("s")
    worker.ask(hold=1)
    worker.say(worker.report_on(0))
    assert service.trial("s", 0).state == "running"


def test_a_worker_is_told_that_its_trial_failed_at_a_rung(service, spec, offers):
    service.create(spec(**ASHA, sampler="random"))
    worker = Climber(service, "w", offers)
    worker.ask(hold=1)
    answer = worker.say(Report(study="s", trial=0, attempt=1, points=(Point(epoch=1, metrics={"loss": 1.0}),)))
    assert [(it.trial, it.do, it.why) for it in answer.directives] == [(0, "stop", "failed")]


def test_studies_in_random_order_end_though_nobody_asks_anew(service, spec, offers):
    for seed in range(5):
        rng: random.Random = random.Random(seed)
        name, fields = f"s{seed}", dict[str, Any](ASHA)
        fields["pruner"] = {"name": rng.choice(["asha", "hyperband"]), "reduction_factor": rng.choice([2, 3])}
        service.create(spec(name=name, **fields, sampler="random", budget={"trials": 4}))
        worker = Climber(service, name, offers)
        for trials in (7, 15):
            for _ in range(rng.randrange(6)):
                turn(worker, name)
            service.patch(name, StudyPatch.model_validate({"budget": {"trials": trials}}))
        steady(service, {worker: name})
