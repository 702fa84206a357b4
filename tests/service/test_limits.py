"""Trials that run for longer than their study allows, and numbers at their limits."""

from __future__ import annotations

import itertools
import time

import pytest

from lrsearch.errors import InvalidInput
from lrsearch.study import Point

RANDOM = {"sampler": "random", "budget": {"trials": 6}}


def test_a_trial_that_only_lives_is_ended_by_its_limit(service, toy, spec):
    service.create(spec(**RANDOM, limits={"trial_hours": 1e-5}))
    worker = toy()
    worker.ask()
    time.sleep(0.1)
    assert [(d.do, d.why) for d in worker.say(hold=0).directives] == [("stop", "failed")]
    assert "trial_hours" in service.trial("s", 0).error


def test_a_trial_that_waits_for_its_turn_is_not_ended_by_its_limit(service, toy, spec):
    service.create(spec(**RANDOM, limits={"trial_hours": 1e-5}))
    worker = toy()
    first, _ = worker.ask(hold=2)
    time.sleep(0.1)
    assert worker.say(worker.told(first, upto=1), hold=0).directives == ()
    time.sleep(0.1)
    assert [(d.trial, d.why) for d in worker.say(hold=0).directives] == [(0, "failed")]
    assert service.trial("s", 1).state == "running"


def test_a_limit_that_ends_the_study_ends_all_that_its_worker_holds(service, toy, spec):
    service.create(spec(**RANDOM, limits={"trial_hours": 1e-5, "failures_in_a_row": 1}))
    worker = toy()
    first, _ = worker.ask(hold=2)
    worker.say(worker.told(first, upto=1))
    time.sleep(0.1)
    told = [(d.trial, d.do, d.why) for d in worker.say().directives]
    assert told == [(0, "stop", "failed"), (1, "stop", "cancelled")]
    assert [trial.state for trial in service.trials("s").items] == ["failed", "cancelled"]
    assert service.study("s").state == "failed"


def test_the_largest_numbers_are_taken(service, toy, spec):
    """Sums of them overflow; an answer that fails would come again for ever, as its worker keeps what it measured."""
    confirm = {"top": 1, "seeds": 2}
    service.create(
        spec(sampler="random", budget={"trials": 2}, train={"seeds": 2}, stop={"patience": 9}, confirm=confirm)
    )
    worker = toy()
    worker.ask()
    while worker.held:
        its = worker.held.pop(0)
        values = itertools.cycle([1.7e308, 1.7e308, -1.7e308, 1.7e308])  # a pair an epoch
        points = tuple(
            point.model_copy(update={"seconds": 1e9, "metrics": {"val_loss": next(values)}})
            for point in worker.points(its, 1, its.until_epoch)
        )
        worker.say(worker.told(its).model_copy(update={"points": points}), hold=1)
    trial = service.trial("s", 0)
    assert (trial.value, service.study("s").state) == (1.7e308, "completed")
    assert trial.seconds >= 6e9
    assert {(it.confirmed.mean, it.confirmed.std) for it in service.best("s", 2) if it.confirmed} == {(1.7e308, 0.0)}
    assert trial.started_at <= trial.finished_at


def test_seconds_beyond_a_lifetime_are_refused():
    with pytest.raises(InvalidInput, match="seconds"):
        Point.read({"epoch": 1, "seconds": 1e300, "metrics": {}})
