from __future__ import annotations

import json
from datetime import timedelta, timezone

import pytest
from sqlalchemy import select, update

from lrsearch.errors import Conflict, InvalidInput, NotFound
from lrsearch.store import Arrival
from lrsearch.store.tables import STUDIES
from lrsearch.study import Page


def add(store, *studies):
    for study in studies:
        with store.transaction() as tx:
            tx.studies.add(study)


def names(page: Page) -> list[str]:
    return [study.name for study in page.items]


def every_page(listing, **options):
    """All items of a paged listing, two at a time."""
    items, cursor = [], None
    while True:
        page = listing(limit=2, cursor=cursor, **options)
        items += page.items
        if page.next is None:
            return items
        assert len(page.items) == 2
        cursor = page.next


def test_a_study_comes_back_whole(store, study, spec, moment):
    written = study(
        "whole",
        owner="ann",
        state="running",
        spec=spec("whole", sampler={"name": "tpe", "seed": 7}, options={"b": [1, 2.5, None], "a": {"é": "\n"}}),
        submitted=spec("whole"),
        resolved=True,
        warnings=("one", "two"),
        error="a\nb",
        updates_per_epoch=23,
        started_at=moment.astimezone(timezone(timedelta(hours=5))),
        finished_at=moment + timedelta(microseconds=1),
    )
    add(store, written)
    with store.transaction(write=False) as tx:
        read = tx.studies.get("whole")
    assert read == written
    assert read.model_dump_json() == written.model_copy(update={"started_at": moment}).model_dump_json()
    assert (read.submitted, read.resolved) == (written.submitted, True)
    assert read.created_at.utcoffset() == read.started_at.utcoffset() == timedelta(0)
    assert list(read.spec.options) == ["b", "a"]


def test_progress_and_best_are_not_stored(store, study):
    add(store, study("s", progress={"trials": {"queued": 3}}))
    with store.transaction() as tx:
        assert tx.studies.get("s").progress.trials == {}


def test_a_name_is_taken_once_and_the_transaction_goes_on(store, study):
    add(store, study("s"))
    with store.transaction() as tx:
        with pytest.raises(Conflict, match="`s`"):
            tx.studies.add(study("s", owner="other"))
        tx.studies.add(study("t"))
    with store.transaction() as tx:
        assert tx.studies.get("s").owner == "local"
        assert tx.studies.get("t").owner == "local"


@pytest.mark.parametrize("lock", [False, True])
def test_a_missing_study(store, lock):
    with store.transaction() as tx:
        assert tx.studies.find("nobody", lock=lock) is None
        for verb in (lambda: tx.studies.get("nobody", lock=lock), lambda: tx.studies.change("nobody", state="paused")):
            with pytest.raises(NotFound, match="there is no study `nobody`"):
                verb()
        with pytest.raises(NotFound):
            tx.studies.delete("nobody")


def test_change(store, study, spec, moment):
    add(store, study("s"), study("other"))
    changed = spec("s", budget={"trials": 9})
    with store.transaction() as tx:
        answered = tx.studies.change("s", state="running", started_at=moment)
        assert (answered.state, answered.started_at) == ("running", moment)
        tx.studies.change("s", spec=changed, resolved=True, updates_per_epoch=5, warnings=("w",), error="e")
        answered = tx.studies.change("s", finished_at=moment, submitted=spec("s"))
    with store.transaction() as tx:
        read = tx.studies.get("s")
        assert read == answered
        assert tx.studies.change("s", error=None, finished_at=None, warnings=()) == tx.studies.get("s")
        assert tx.studies.get("other") == study("other")
    expected = {"state": "running", "started_at": moment, "finished_at": moment, "resolved": True, "error": "e"}
    assert read == study("s", spec=changed, submitted=spec("s"), updates_per_epoch=5, warnings=("w",), **expected)


def test_only_what_may_change_and_what_can_be_read_back(store, study):
    add(store, study("s"))
    with store.transaction() as tx:
        with pytest.raises(TypeError, match="name"):
            tx.studies.change("s", name="t")
        with pytest.raises(InvalidInput, match="state"):
            tx.studies.change("s", state="bogus")
        assert tx.studies.get("s") == study("s")


def test_delete_takes_everything_of_the_study_and_nothing_else(store, study, spec, trial, point):
    for name in ("s", "t"):
        add(store, study(name, spec=spec(name, labels={"team": name})))
        with store.transaction() as tx:
            tx.trials.add(name, [trial(0), trial(1)])
            tx.points.add(name, [Arrival(1, "trial", 1, [point(1)], [1.0])])
    with store.transaction() as tx:
        tx.studies.delete("s")
    with store.transaction() as tx:
        assert tx.studies.find("s") is None
        assert tx.trials.states("s")[0] == {}
        assert tx.points.of("s", 1) == []
        assert names(tx.studies.page(label="team")) == ["t"]
        assert tx.trials.states("t")[0] == {"queued": 2}
        assert len(tx.points.of("t", 1)) == 1
        tx.studies.add(study("s"))
        assert tx.trials.next_number("s") == 0


def test_pages_go_from_the_newest_to_the_oldest(store, study):
    add(store, *(study(f"s{n}", state="running" if n % 2 else "queued") for n in range(7)))
    with store.transaction(write=False) as tx:
        assert [s.name for s in every_page(tx.studies.page)] == [f"s{n}" for n in range(6, -1, -1)]
        assert [s.name for s in every_page(tx.studies.page, state="running")] == ["s5", "s3", "s1"]
        assert names(tx.studies.page(state="failed")) == []
        first = tx.studies.page(limit=7)
        assert (len(first.items), first.next) == (7, None)


def test_a_page_goes_on_where_it_was_while_studies_come_and_go(store, study):
    add(store, *(study(f"s{n}") for n in range(4)))
    with store.transaction() as tx:
        cursor = tx.studies.page(limit=2).next
        tx.studies.delete("s2")
        tx.studies.add(study("new"))
    with store.transaction() as tx:
        assert names(tx.studies.page(cursor=cursor)) == ["s1", "s0"]


def test_labels(store, study, spec):
    labels = {"a": {"team": "vision", "x": ""}, "b": {"team": "audio"}, "c": {"team=vision": "odd"}, "d": {}}
    add(store, *(study(name, spec=spec(name, labels=its)) for name, its in labels.items()))
    with store.transaction() as tx:
        assert names(tx.studies.page(label="team")) == ["b", "a"]
        assert names(tx.studies.page(label="team=vision")) == ["c", "a"]
        assert names(tx.studies.page(label="team=")) == []
        assert names(tx.studies.page(label="x")) == names(tx.studies.page(label="x=")) == ["a"]
        assert names(tx.studies.page(label="nothing")) == []
        tx.studies.change("a", spec=spec("a", labels={"team": "audio"}))
        assert names(tx.studies.page(label="team=audio")) == ["b", "a"]
        tx.studies.change("a", state="paused")
        assert names(tx.studies.page(label="team=audio", state="paused")) == ["a"]


def test_labels_of_any_length_are_stored(store, study, spec):
    long = "".join(chr(0x4E00 + n) for n in range(2000))
    add(store, study("s", spec=spec("s", labels={long: long})))
    with store.transaction() as tx:
        assert names(tx.studies.page(label=f"{long}={long}")) == ["s"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!", "bnVsbA", "WzFd", "ü", "W10", "WyJzdHVkaWVzIiwgdHJ1ZV0", "[" * 5000]
)
def test_a_cursor_that_is_none_is_refused(store, cursor):
    with store.transaction(write=False) as tx:
        for listing in (tx.studies.page, tx.comparisons.page, lambda **options: tx.trials.page("s", **options)):
            with pytest.raises(InvalidInput, match="cursor"):
                listing(cursor=cursor)


def test_a_limit_below_one_is_refused(store):
    with store.transaction(write=False) as tx, pytest.raises(InvalidInput, match="limit"):
        tx.studies.page(limit=0)


def test_open_studies_with_their_owners(store, study):
    states = ["queued", "completed", "running", "paused", "queued"]
    add(store, *(study(f"{9 - n}", state=state, owner=f"o{n}") for n, state in enumerate(states)))
    with store.transaction(write=False) as tx:
        assert tx.studies.open_owned() == [("9", "o0"), ("7", "o2"), ("5", "o4")]
        assert tx.studies.open_owned(only="7") == [("7", "o2")]
        assert tx.studies.open_owned(only="6") == []


def test_a_study_that_was_stored_before_a_field_was_there_is_read(store, study):
    add(store, study("s"))
    with store.transaction() as tx:
        rest = json.loads(tx.connection.execute(select(STUDIES.c.rest)).scalar_one())
        del rest["redrawn"]
        tx.connection.execute(update(STUDIES).values(rest=json.dumps(rest)))
    with store.transaction(write=False) as tx:
        assert tx.studies.get("s") == study("s")
