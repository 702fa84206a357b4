"""A study whose rows are damaged ends by itself; every other one goes on, and no worker is answered with an error."""

from __future__ import annotations

import logging

import pytest
import sqlalchemy as sa

from lrsearch.errors import Conflict, Unavailable
from lrsearch.service.isolation import StudyBroken, blaming
from lrsearch.study import ComparisonSpec

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


@pytest.mark.parametrize("change", ["rest = '{'", "rest = '{}'"])
def test_a_study_whose_own_row_is_damaged_fails_alone(service, toy, spec, database_url, caplog, change):
    caplog.set_level(logging.CRITICAL, "lrsearch.service")
    service.create(spec(sampler="random", name="old"))
    worker = toy("a")
    worker.ask(hold=2)
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE studies SET {change} WHERE name = 'old'"))
    with pytest.raises(Conflict, match="lease has ended"):
        worker.say()
    service.create(spec(sampler="random", name="young"))
    assert toy("b").work() == 5
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT state FROM studies WHERE name = 'old'")).scalar() == "failed"
    engine.dispose()


def test_an_arm_whose_row_is_damaged_keeps_no_other_from_its_end(service, toy, spec, database_url, caplog):
    caplog.set_level(logging.CRITICAL, "lrsearch.service")
    arms = [{"name": name, "sampler": name} for name in ("random", "tpe")]
    body = spec(name=None).model_dump(mode="json")
    toy("a").ask(hold=0)
    service.compare(ComparisonSpec.read({"name": "c", "spec": body, "arms": arms, "repeats": 1}))
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE studies SET rest = '{' WHERE name = 'c.random.0'"))
    toy("a").work()
    with engine.connect() as connection:
        states = dict(connection.execute(sa.text("SELECT name, state FROM studies")).all())
        assert states == {"c.random.0": "failed", "c.tpe.0": "completed"}
        assert connection.execute(sa.text("SELECT state FROM comparisons")).scalar() == "completed"
    engine.dispose()


def breaking(service, monkeypatch, error, times):
    """Breaks the drawing of trials so many times."""
    left, draw = [error] * times, service._draw
    monkeypatch.setattr(service, "_draw", lambda *args: _raise(left.pop()) if left else draw(*args))


def _raise(error):
    raise error


def test_what_breaks_once_is_tried_again(service, toy, spec, monkeypatch):
    service.create(spec(sampler="random", name="old"))
    breaking(service, monkeypatch, RuntimeError("can't start new thread"), 1)
    assert toy("a").work() == 5
    assert service.study("old").state == "completed"


def test_a_machine_out_of_files_ends_no_study(service, toy, spec, monkeypatch):
    service.create(spec(sampler="random", name="old"))
    breaking(service, monkeypatch, OSError(24, "Too many open files"), 1)
    with pytest.raises(OSError, match="open files"):
        toy("a").ask()
    assert toy("a").work() == 5


def test_a_broken_study_that_is_deleted_meanwhile_stops_nobody(service, toy, spec, monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL, "lrsearch.service")
    service.create(spec(sampler="random", name="old"))
    end = service._end_broken

    def late(broken):
        service.cancel("old")
        service.delete("old")
        end(broken)

    monkeypatch.setattr(service, "_end_broken", late)
    breaking(service, monkeypatch, KeyError("x"), 2)
    assert toy("a").ask() == []


def test_what_is_not_the_studys_is_not_blamed_on_it():
    for error in (Unavailable("away"), MemoryError(), OSError(), sa.exc.IntegrityError("", {}, Exception())):
        with pytest.raises(type(error)), blaming("s"):
            raise error
    with pytest.raises(StudyBroken, match="inner"), blaming("outer"), blaming("inner"):
        raise KeyError
