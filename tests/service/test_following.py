from __future__ import annotations

import itertools
import threading

import pytest

from lrsearch.errors import NotFound
from lrsearch.service import Follower
from lrsearch.study import ProgressEvent, ResetEvent, StudyEvent, TrialsEvent


def test_a_study_is_followed_to_its_end(service, toy, spec):
    worker = toy()
    worker.ask(0)
    service.create(spec())
    told: list = []
    thread = threading.Thread(target=lambda: told.extend(service.events("s")))
    thread.start()
    assert worker.work() >= 4
    thread.join(20)
    assert not thread.is_alive()
    stored = [event for event in told if not isinstance(event, ProgressEvent)]
    assert [event.id for event in stored] == sorted({event.id for event in stored})
    ended = [number for event in stored if isinstance(event, TrialsEvent) for number in event.trials
             if event.state == "completed"]  # fmt: skip
    assert ended == [0, 1, 2, 3]
    assert [event.state for event in stored if isinstance(event, StudyEvent)] == ["queued", "running", "completed"]
    last = told[-1]
    study = service.study("s")
    assert (last.state, last.progress, last.best) == (study.state, study.progress, study.best)
    assert last.id == stored[-1].id


def test_following_goes_on_after_any_event(service, toy, spec):
    worker = toy()
    worker.ask(0)
    service.create(spec())
    worker.work()
    everything = [event for event in service.events("s") if not isinstance(event, ProgressEvent)]
    for place in range(len(everything)):
        rest = service.events("s", after=everything[place].id)
        assert [event for event in rest if not isinstance(event, ProgressEvent)] == everything[place + 1 :]
    assert [event.KIND for event in service.events("s", after="newest")] == ["progress"]


def test_an_id_of_another_time_is_answered_by_a_reset(service, spec, toy):
    toy().ask(0)
    service.create(spec())
    service.cancel("s")
    newest = list(service.events("s"))[-1].id
    told = list(service.events("s", after=newest + 1))
    assert [event.KIND for event in told] == ["reset", "progress"]
    assert isinstance(told[0], ResetEvent)
    assert told[0].id == newest


def test_many_events_are_read_a_part_at_a_time(service, spec, toy, monkeypatch):
    monkeypatch.setattr("lrsearch.service.following.AT_ONCE", 3)
    worker = toy()
    worker.ask(0)
    service.create(spec())
    worker.work()
    told = list(service.events("s"))
    assert len(told) > 6
    assert [isinstance(event, ProgressEvent) for event in told] == [False] * (len(told) - 1) + [True]


def test_progress_is_told_when_something_moved(service, spec, toy):
    worker = toy()
    worker.ask(0)
    service.create(spec())
    follower = Follower(service, "s")
    assert [event.KIND for event in follower.look()] == ["study", "progress"]
    assert follower.look() == []
    worker.ask(1)
    service._stands.clear()  # as if half a second had gone by
    assert [event.KIND for event in follower.look()] == ["trials", "study", "progress"]
    worker.say(worker.told(worker.held[0], upto=1))
    service._stands.clear()
    (told,) = follower.look()
    assert told.progress.epochs.trained == 1


def test_a_deleted_study_is_no_longer_followed(service, spec, toy):
    toy().ask(0)
    service.create(spec())
    follower = Follower(service, "s")
    follower.look()
    service.delete("s")
    with pytest.raises(NotFound):
        follower.look()
    with pytest.raises(NotFound):
        next(service.events("s"))


def test_following_ends_with_the_service(service, spec, toy):
    toy().ask(0)
    service.create(spec())
    events = service.events("s")
    assert [event.KIND for event in itertools.islice(events, 2)] == ["study", "progress"]
    service.bell.close()
    assert list(events) == []
