"""A study whose rows are damaged ends by itself; every other one goes on, and no worker is answered with an error."""

from __future__ import annotations

import logging

import pytest
import sqlalchemy as sa

from lrsearch.errors import Conflict, Unavailable
from lrsearch.service.isolation import StudyBroken, blaming

from ..clock import Clock

BROKEN = {
    "params": "params = '['",
    "schedule": 'schedule = \'{"family": "none"}\'',
    "text": "rest = '{'",
}
SEARCHES = {
    "random": {"sampler": "random"},
    "tpe": {"sampler": "tpe"},
    "median": {"sampler": "random", "pruner": {"name": "median", "startup_trials": 1}},
}


@pytest.fixture
def damage(database_url):
    """Breaks what a study's open trials are stored as."""

    def damage(study, change):
        engine = sa.create_engine(database_url)
        with engine.begin() as connection:
            statement = f"UPDATE trials SET {change} WHERE study = :study AND state <> 'completed'"
            assert connection.execute(sa.text(statement), {"study": study}).rowcount > 0
        engine.dispose()

    return damage


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("broken", BROKEN)
def test_a_damaged_study_fails_alone(service, toy, spec, damage, caplog, search, broken):
    caplog.set_level(logging.CRITICAL, "lrsearch.service")
    service.create(spec(**SEARCHES[search], name="old"))
    worker = toy("a")
    worker.ask(hold=2)
    worker.finish(hold=2)
    worker.say(worker.told(worker.held[0], upto=1), hold=2)
    service.create(spec(sampler="random", name="young"))
    damage("old", BROKEN[broken])
    service._forget("old")  # as a service that has just begun
    other = toy("b")
    for _ in range(20):
        if not (other.held or other.ask()):
            break
        other.finish(hold=1)
    assert service.study("young").state == "completed"
    with pytest.raises(Conflict, match="lease has ended"):
        worker.finish()
    old = service.study("old")
    assert old.state == "failed"
    assert "could not go on with this study" in old.error


def test_a_silent_worker_of_a_damaged_study_stops_nobody(service, toy, spec, damage, caplog, monkeypatch):
    caplog.set_level(logging.CRITICAL, "lrsearch.service")
    clock = Clock(monkeypatch)
    service.create(spec(sampler="random", name="old"))
    toy("a").ask()
    damage("old", BROKEN["text"])
    for _ in range(7):
        clock.forward(10)
        service.reap()
    service.create(spec(sampler="random", name="young"))
    assert service.study("old").state == "failed"
    assert toy("b").work() == 5  # four trials and a test


def test_what_is_not_the_studys_is_not_blamed_on_it():
    for error in (Unavailable("away"), MemoryError(), sa.exc.IntegrityError("", {}, Exception())):
        with pytest.raises(type(error)), blaming("s"):
            raise error
    with pytest.raises(StudyBroken, match="inner"), blaming("outer"), blaming("inner"):
        raise KeyError
