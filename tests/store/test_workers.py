from __future__ import annotations

from datetime import timedelta

from lrsearch.study import Worker


def test_workers_and_what_they_hold(store, study, trial, lease, moment):
    first = Worker(worker="a", state="idle", device="cpu é", versions={"torch": "2"}, tasks=("x",), last_seen=moment)
    second = Worker(worker="b", state="idle", last_seen=moment + timedelta(seconds=1))
    with store.transaction() as tx:
        assert tx.workers.all() == []
        tx.workers.put(first)
        tx.workers.put(second)
        assert tx.workers.all() == [second, first]
        tx.studies.add(study("s"))
        tx.trials.add("s", [trial(n, lease="a", state="running") for n in (10, 9)])
        tx.leases.add(lease("a", worker="a"))
        tx.workers.seen("a", moment + timedelta(seconds=2))
        tx.workers.seen("nobody", moment)
    busy = first.model_copy(
        update={"state": "busy", "holds": ("s/9", "s/10"), "last_seen": moment + timedelta(seconds=2)}
    )
    with store.transaction() as tx:
        assert tx.workers.all() == [busy, second]
        tx.leases.delete("a")
        assert [worker.state for worker in tx.workers.all()] == ["idle", "idle"]
        tx.workers.put(second.model_copy(update={"worker": "a"}))
        assert tx.workers.all() == [second.model_copy(update={"worker": "a"}), second]


def test_workers_that_were_silent_for_long_are_forgotten(store):
    with store.transaction() as tx:
        for name, silent in (("now", timedelta()), ("lately", timedelta(days=6)), ("once", timedelta(days=8))):
            tx.workers.put(Worker(worker=name, state="idle", last_seen=tx.now() - silent))
        tx.workers.forget()
        assert [worker.worker for worker in tx.workers.all()] == ["now", "lately"]
