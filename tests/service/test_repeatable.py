"""A study's suggestions and decisions depend neither on restarts nor on who works, how many, or in which order."""

from __future__ import annotations

import random

import pytest

from lrsearch.service import Service

TPE = {"sampler": {"name": "tpe", "seed": 3, "parallel": 4}, "budget": {"trials": 40}}


def params(service, name="s"):
    return [(trial.params, trial.state, trial.value) for trial in service.trials(name, limit=1000).items]


@pytest.mark.parametrize(
    "moments", [(0, 1, 7, 13), pytest.param(range(20), marks=pytest.mark.slow)], ids=["some", "every"]
)
def test_a_service_restarted_after_any_trial_suggests_the_same(store, toy, spec, moments):
    service = Service(store)
    service.create(spec(name="whole", **TPE))
    toy().work()
    whole = params(service, "whole")
    assert len(whole) == 40
    for k in moments:
        name = f"k{k}"
        service.create(spec(name=name, **TPE))
        worker = toy()
        worker.ask(study=name)
        for _ in range(k):
            worker.finish()
        worker.service = Service(store)
        worker.work(study=name)
        assert params(service, name) == whole, f"restarted after trial {k}"


@pytest.mark.parametrize("pruner", ["none", {"name": "median", "startup_trials": 2}])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_any_number_of_workers_in_any_order_gives_the_same_study(service, toy, spec, pruner, sampler):
    fields = {"sampler": sampler, "pruner": pruner, "budget": {"trials": 30}, "epochs": 5}
    toy().ask(hold=0)
    service.create(spec(name="one", **fields))
    toy().work(study="one")
    service.create(spec(name="many", **fields))
    rng = random.Random(0)
    workers = [toy(f"w{n}") for n in range(3)]
    for worker in workers:
        worker.ask(hold=2, study="many")
    progress: dict[tuple[int, int], int] = {}
    while any(worker.held for worker in workers):
        worker = rng.choice([w for w in workers if w.held])
        assignment = rng.choice(worker.held)
        done = progress.get((assignment.trial, assignment.attempt), 0) + 1
        progress[assignment.trial, assignment.attempt] = done
        report = worker.told(assignment, upto=done)
        answer = worker.say(report.model_copy(update={"points": worker.points(assignment, done, done)}))
        stopped = {directive.trial for directive in answer.directives}
        if done == assignment.until_epoch:
            stopped.add(assignment.trial)
        worker.held = [held for held in worker.held if held.trial not in stopped]
        for other in workers:
            if not other.held:
                other.ask(hold=2, study="many")
    assert params(service, "many") == params(service, "one")
    states = {state for _, state, _ in params(service, "one")}
    assert ("pruned" in states) == (pruner != "none")


def test_points_beyond_the_pruned_epoch_do_not_count(service, toy, spec):
    toy().ask(hold=0)
    baselines = [{"family": "constant", "initial_lr": 0.1}] * 3
    service.create(
        spec(
            epochs=6,
            sampler="random",
            pruner={"name": "median", "startup_trials": 1},
            budget={"trials": 12},
            baselines=baselines,
        )
    )
    worker = toy()
    worker.ask()
    for _ in range(11):
        worker.finish()
    pruned = [trial for trial in service.trials("s").items if trial.state == "pruned"]
    assert pruned
    for trial in pruned:
        curve = service.curve("s", trial.number)
        assert len(curve) < 6
        assert trial.metrics == curve[-1].metrics
        assert trial.value is None
