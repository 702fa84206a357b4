"""Silence, outages, and trials that end their workers; on both databases, by a clock that the tests move on."""

from __future__ import annotations

import pytest

from lrsearch.errors import Conflict, Unavailable
from lrsearch.service import Service, Settings
from lrsearch.study import RangeTestSpec, Result

from ..clock import Clock

ONE = {"sampler": "random", "budget": {"trials": 1}}
LEASE = 60


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def wait(service, clock):
    """Lets time pass for a service that listens: it looks for silent workers all the while."""

    def wait(seconds):
        for _ in range(5 * -(-seconds // LEASE)):
            clock.forward(seconds / (5 * -(-seconds // LEASE)))
            service.reap()

    return wait


def away(service):
    """The database refuses to be written to, once."""
    with pytest.raises(Unavailable), service._writing():
        raise Unavailable("the database is read-only")


def test_a_silent_worker_loses_its_trial_and_a_lost_trial_is_no_failed_one(service, toy, spec, clock):
    service.create(spec(**ONE, limits={"failures_in_a_row": 1}))
    worker = toy("a")
    worker.ask()
    worker.say(worker.told(worker.held[0], upto=2))
    clock.forward(LEASE - 1)
    service.reap()
    assert service.trial("s", 0).state == "running"
    clock.forward(2)
    service.reap()
    trial = service.trial("s", 0)
    assert (trial.state, trial.attempts, trial.lost, service.study("s").state) == ("queued", 1, 1, "running")
    with pytest.raises(Conflict, match="ended"):
        worker.say(worker.told(worker.held[0]))
    other = toy("b")
    (again,) = other.ask()
    assert (again.trial, again.attempt, again.reported) == (0, 2, 2)
    other.finish()
    assert service.trial("s", 0).state == "completed"


@pytest.mark.parametrize("lived", [0, 30, 59])
def test_a_trial_that_ends_two_workers_at_once_is_given_up(service, toy, spec, clock, lived):
    service.create(spec(**ONE))
    for name in ("a", "b"):
        worker = toy(name)
        worker.ask()
        clock.forward(lived)
        worker.say()
        clock.forward(LEASE + 1)
    service.reap()
    trial = service.trial("s", 0)
    assert trial.state == "failed"
    assert "2 workers" in trial.error
    assert "within 60 seconds" in trial.error
    assert "was b" in trial.error
    assert service.study("s").state == "failed"


def test_workers_that_end_later_or_with_other_trials_are_no_sign(service, toy, spec, clock, wait):
    service.create(spec(sampler="random", budget={"trials": 2}))
    for name in ("a", "b"):
        assert len(toy(name).ask(hold=2)) == 2
        clock.forward(LEASE + 1)
    alone = toy("c")
    alone.ask(hold=2)  # a suspect is trained alone
    assert [it.trial for it in alone.held] == [0]
    for _ in range(5):  # for longer than a minute
        clock.forward(LEASE / 4)
        alone.say()
    wait(LEASE + 1)
    trial = service.trial("s", 0)
    assert (trial.state, trial.lost, trial.killed) == ("queued", 3, 0)
    toy("d").ask()
    wait(LEASE + 1)
    trial = service.trial("s", 0)
    assert (trial.state, trial.lost, trial.killed) == ("queued", 4, 1)


def test_a_deadly_confirmation_ends_without_one(service, toy, spec, clock):
    service.create(spec(**ONE, confirm={"top": 1, "seeds": 1}))
    worker = toy("a")
    worker.ask()
    worker.finish()
    service.release(worker.lease.lease)
    for name in ("b", "c"):
        assert toy(name).ask()[0].purpose == "confirm"
        clock.forward(LEASE + 1)
    service.reap()
    trial = service.trial("s", 0)
    assert (trial.state, trial.confirmed.mean) == ("completed", None)


def test_enough_failures_end_a_study_and_losses_in_between_do_not_count(service, toy, spec, clock):
    service.create(spec(sampler="random", budget={"trials": 20}, limits={"failures_in_a_row": 3}))
    worker = toy("a")
    worker.ask()
    for n in range(3):
        assert service.study("s").state == "running"
        clock.forward(LEASE + 1)
        worker.ask()
        failed = Result(state="failed", error=f"boom {n}")
        worker.say(worker.told(worker.held.pop(0), upto=1, result=failed))
    study = service.study("s")
    assert study.state == "failed"
    assert study.error == "3 trials in a row failed, the last one with: boom 2"
    assert worker.ask() == []


def test_no_lease_is_reaped_for_the_length_of_an_outage_and_one_lease_more(service, toy, spec, clock):
    service.create(spec(**ONE))
    worker = toy("a")
    worker.ask()
    away(service)
    clock.forward(600)
    service.reap()
    for _ in range(3):
        clock.forward(LEASE / 4)
        service.reap()
        assert toy("b").ask() == []
    assert service.trial("s", 0).attempts == 1
    worker.say(worker.told(worker.held[0], upto=1))  # it is heard again: nothing happened
    clock.forward(LEASE / 2)
    service.reap()
    assert service.trial("s", 0).state == "running"


def test_who_stays_silent_after_an_outage_is_lost_and_it_is_nobodys_fault(service, toy, spec, clock, wait):
    service.create(spec(**ONE))
    for name in ("a", "b", "c", "d", "e", "f"):
        assert len(toy(name).ask()) == 1
        away(service)
        clock.forward(600)
        service.reap()
        wait(LEASE + 1)
    trial = service.trial("s", 0)
    assert (trial.state, trial.lost, trial.killed, trial.attempts) == ("queued", 0, 0, 6)


def test_a_worker_that_comes_back_under_its_name_after_an_outage_was_not_lost(service, toy, spec, clock):
    service.create(spec(**ONE))
    for attempt in range(1, 8):
        assert [it.attempt for it in toy("a").ask()] == [attempt]
        away(service)
        clock.forward(600)
    assert service.trial("s", 0).lost == 0


def test_a_service_that_begins_waits_for_workers_it_could_not_hear(store, toy, spec, clock):
    first = Service(store, Settings(lease_seconds=LEASE))
    first.create(spec(**ONE))
    worker = toy("a")
    worker.service = first
    worker.ask()
    clock.forward(600)
    second = Service(store, Settings(lease_seconds=LEASE))
    second.was_away()  # what an application says when it begins
    second.reap()
    assert second.trial("s", 0).state == "running"
    worker.service = second
    worker.say(worker.told(worker.held[0]))
    assert second.trial("s", 0).state == "completed"


def test_two_services_each_wait_after_the_database_was_away(store, toy, spec, clock):
    one, two = (Service(store, Settings(lease_seconds=LEASE)) for _ in range(2))
    one.create(spec(**ONE))
    worker = toy("a")
    worker.service = one
    worker.ask()
    for service in (one, two):
        away(service)
    clock.forward(60)
    for service in (one, two, one, two):
        service.reap()
        assert service.trial("s", 0).state == "running"
        clock.forward(LEASE / 4)


def test_a_service_that_stood_still_hears_its_workers_first(service, toy, spec, clock):
    service.create(spec(**ONE))
    toy("a").ask()
    service.reap()
    clock.forward(LEASE + 1)  # no beat for so long: nobody was heard
    service.reap()
    assert service.trial("s", 0).state == "running"
    for _ in range(5):
        clock.forward(LEASE / 4)
        service.reap()
    assert service.trial("s", 0).state == "queued"


def test_range_tests_are_not_reaped_after_an_outage_either(service, toy, clock):
    toy("a").ask(hold=0)
    service.range_test(RangeTestSpec.read({"name": "r", "task": "toy"}))
    assert toy("a").ask()[0].purpose == "range_test"
    away(service)
    clock.forward(600)
    assert toy("b").ask() == []
    clock.forward(LEASE + 1)
    assert toy("b").ask()[0].purpose == "range_test"


def test_a_study_that_its_last_loss_ends_cancels_the_rest(store, toy, spec, clock):
    """Of what one worker held, losses fail so many that the study ends: the others end once, as cancelled."""
    service = Service(store, Settings(lease_seconds=LEASE, max_lost=1))
    toy().ask(0)
    service.create(spec(sampler="random", budget={"trials": 6}, limits={"failures_in_a_row": 2}))
    worker = toy("a")
    worker.service = service
    worker.ask(6)
    clock.forward(LEASE + 1)
    service.reap()
    assert service.study("s").state == "failed"
    assert [trial.state for trial in service.trials("s").items] == ["failed"] * 2 + ["cancelled"] * 4
