from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select

from lrsearch.errors import NotFound
from lrsearch.store import Store
from lrsearch.store import events as rules
from lrsearch.store.tables import EVENTS
from lrsearch.study import BestEvent, Confirmed, ResetEvent, StudyEvent, TrialsEvent, WarningEvent


def told(store, study="s", after=0, limit=1000):
    with store.transaction(write=False) as tx:
        return tx.events.after(study, after, limit=limit)


def words(events):
    """Events without their ids and moments."""
    return [(event.KIND, event.model_dump(exclude={"id", "at"}, exclude_none=True)) for event in events]


@pytest.fixture
def begun(store, study, trial):
    """A store with a study of six trials that run; what was told of that is passed over."""
    with store.transaction() as tx:
        tx.studies.add(study("s", state="running"))
        tx.trials.add("s", [trial(number) for number in range(6)])
    with store.transaction() as tx:
        tx.trials.change_all("s", [(tx.trials.get("s", n), {"state": "running", "worker": "w"}) for n in range(6)])
    return told(store)[-1].id


def test_what_a_transaction_changes_is_told_in_order(store, study, trial):
    with store.transaction() as tx:
        tx.studies.add(study("s"))
        tx.trials.add("s", [trial(0), trial(1, state="completed", value=0.5, purpose=None)])
    with store.transaction() as tx:
        tx.studies.change("s", state="running", warnings=("mind this",))
        tx.trials.change("s", 0, state="running", worker="w")
    assert words(told(store)) == [
        ("trials", {"state": "completed", "trials": (1,), "values": (0.5,)}),
        ("best", {"trial": 1, "value": 0.5}),
        ("study", {"state": "queued"}),
        ("warning", {"text": "mind this"}),
        ("trials", {"state": "running", "trials": (0,), "worker": "w"}),
        ("study", {"state": "running"}),
    ]
    assert [event.id for event in told(store)] == sorted({event.id for event in told(store)})


def test_what_is_undone_is_not_told(store, begun):
    with pytest.raises(NotFound), store.transaction() as tx:
        tx.studies.change("s", state="paused") and tx.studies.get("none")
    assert told(store, after=begun) == []


def test_only_the_last_state_of_a_transaction_counts(store, begun):
    with store.transaction() as tx:
        tx.trials.change("s", tx.trials.get("s", 0), state="waiting")
        tx.trials.change("s", tx.trials.get("s", 0), state="running")
        tx.trials.change("s", 1, lease="a")
    assert words(told(store, after=begun)) == [("trials", {"state": "running", "trials": (0,)})]


def test_trials_promoted_or_pruned_at_a_rung_say_so(store, begun, moment):
    with store.transaction() as tx:
        for number in (0, 1, 2):
            tx.trials.change("s", number, state="waiting")
    with store.transaction() as tx:
        tx.trials.change("s", tx.trials.get("s", 0), state="running")
        tx.trials.prune_waiting("s", moment)
    assert words(told(store, after=begun)) == [
        ("trials", {"state": "waiting", "trials": (0, 1, 2)}),
        ("trials", {"state": "running", "trials": (0,), "was": "waiting"}),
        ("trials", {"state": "pruned", "trials": (1, 2), "was": "waiting"}),
    ]


def test_who_is_best_is_told_when_that_changes(store, begun):
    for number, value in enumerate([0.5, 0.7, 0.3, None]):
        with store.transaction() as tx:
            tx.trials.change("s", number, state="completed", value=value, purpose=None)
    with store.transaction() as tx:
        tx.trials.change("s", 1, confirmed=Confirmed(mean=0.6, std=0.1, seeds=(7, 8)))
    best = [(event.trial, event.value) for event in told(store, after=begun) if isinstance(event, BestEvent)]
    assert best == [(0, 0.5), (2, 0.3), (1, 0.7)]


def test_the_end_of_a_study_is_told_after_its_trials(store, begun, moment):
    with store.transaction() as tx:
        tx.studies.change("s", state="failed", error="no more")
        tx.trials.cancel_open("s", moment)
    events = told(store, after=begun)
    assert words(events) == [
        ("trials", {"state": "cancelled", "trials": tuple(range(6))}),
        ("study", {"state": "failed", "error": "no more"}),
    ]
    assert isinstance(events[-1], StudyEvent)


def test_what_a_lost_lease_held_is_queued_again(store, begun, lease):
    with store.transaction() as tx:
        tx.leases.add(lease("a"))
        for number in (2, 4):
            tx.trials.change("s", number, lease="a")
        tx.trials.change("s", 5, lease="a", state="waiting")
    with store.transaction() as tx:
        tx.trials.let_go("a")
    assert words(told(store, after=begun))[1:] == [("trials", {"state": "queued", "trials": (2, 4)})]


def test_a_deleted_study_takes_its_events_along_and_no_id_comes_back(store, study, begun):
    with store.transaction() as tx:
        tx.studies.change("s", state="cancelled")
    last = told(store)[-1].id
    with store.transaction() as tx:
        tx.studies.change("s", warnings=("w",))
        tx.studies.delete("s")
    with store.transaction() as tx:
        assert tx.connection.execute(select(func.count()).select_from(EVENTS)).scalar_one() == 0
        tx.studies.add(study("s"))
    assert [event.id > last for event in told(store)] == [True]


def test_a_study_deleted_and_made_again_at_once_tells_of_the_new_one(store, study, begun):
    with store.transaction() as tx:
        tx.studies.delete("s")
        tx.studies.add(study("s"))
    assert words(told(store)) == [("study", {"state": "queued"})]


def test_many_trials_are_told_in_several_events(store, study, trial, moment):
    with store.transaction() as tx:
        tx.studies.add(study("s"))
        tx.trials.add("s", [trial(number) for number in range(1001)])
    with store.transaction() as tx:
        tx.trials.cancel_open("s", moment)
    events = [event for event in told(store) if isinstance(event, TrialsEvent)]
    assert [len(event.trials) for event in events] == [1000, 1]


def test_only_the_newest_are_kept_behind_a_reset(store, study):
    with store.transaction() as tx:
        tx.studies.add(study("s"))
    for number in range(9):
        with store.transaction() as tx:
            tx.studies.change("s", warnings=(f"{number}",))
    before = told(store)
    with store.transaction() as tx:
        tx.events.trim("s", kept=3)
    after = told(store)
    assert after[1:] == before[-3:]
    assert isinstance(after[0], ResetEvent)
    assert after[0].id == before[-4].id
    assert told(store, after=before[-4].id) == before[-3:]
    assert isinstance(told(store, after=before[2].id)[0], ResetEvent)


def test_old_events_are_forgotten_as_new_ones_come(store, study, database_url):
    with store.transaction() as tx:
        tx.studies.add(study("s"))
    for _ in range(2):
        with store.transaction() as tx:
            row = {"study": "s", "kind": "warning", "at": tx.now(), "data": '{"text":"w"}'}
            tx.connection.execute(EVENTS.insert(), [row] * (rules.KEPT // 2 + 10))
    another = Store(database_url)
    with another.transaction() as tx:
        tx.studies.change("s", warnings=("the first of this process",))
    another.close()
    kept = told(store, limit=10 * rules.KEPT)
    assert len(kept) == rules.KEPT + 1
    assert isinstance(kept[0], ResetEvent)
    assert isinstance(kept[-1], WarningEvent)


def test_ids_rise_in_the_order_of_commits(store, study, database_url):
    """Whoever reads on after the highest id that they have seen misses nothing, whoever writes meanwhile."""
    with store.transaction() as tx:
        tx.studies.add(study("s"))
    stores = [Store(database_url) for _ in range(3)]

    def write(its: Store, name: str) -> None:
        for number in range(8):
            with its.transaction() as tx:
                tx.studies.change("s", warnings=(f"{name}{number}",))

    threads = [threading.Thread(target=write, args=(its, name)) for its, name in zip(stores, "abc", strict=True)]
    for thread in threads:
        thread.start()
    seen: list[WarningEvent | StudyEvent] = []
    while any(thread.is_alive() for thread in threads) or len(seen) < 25:
        seen += told(store, after=seen[-1].id if seen else 0)  # type: ignore[arg-type]
    for its in stores:
        its.close()
    assert seen == told(store)
    assert sum(isinstance(event, WarningEvent) for event in seen) == 24
