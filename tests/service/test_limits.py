"""Trials that run for longer than their study allows."""

from __future__ import annotations

import time

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
