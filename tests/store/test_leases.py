from __future__ import annotations

from datetime import timedelta

import pytest

from lrsearch.errors import Conflict, NotFound
from lrsearch.store.leases import REMEMBERED


@pytest.fixture
def tx(store):
    with store.transaction() as tx:
        yield tx


def test_a_lease_comes_back_whole(tx, lease, moment):
    rows = [
        lease("a"),
        lease("b", worker="v", owner="ann", hold=0, only_study="s", tasks=("x", "y"), recipe='{"é": 1}'),
        lease("c", tasks=(), expires_at=moment),
    ]
    for row in rows:
        tx.leases.add(row)
    assert [tx.leases.get(row.lease) for row in rows] == rows
    assert [tx.leases.find(row.lease) for row in rows] == rows
    assert tx.leases.of_worker("w") == [rows[2], rows[0]]
    with pytest.raises(Conflict, match="`a`"):
        tx.leases.add(lease("a", worker="v"))
    assert tx.leases.get("a") == rows[0]


def test_change(tx, lease, moment):
    tx.leases.add(lease("a"))
    tx.leases.change("a", hold=5, expires_at=moment, recipe="{}", tasks=("t",))
    assert tx.leases.get("a") == lease("a", hold=5, expires_at=moment, recipe="{}", tasks=("t",))
    with pytest.raises(NotFound, match="`b`"):
        tx.leases.change("b", hold=5)


def test_an_ended_lease_is_lost_and_one_that_never_was_is_unknown(tx, lease):
    tx.leases.add(lease("a"))
    assert not tx.leases.was("a")
    tx.leases.delete("a")
    tx.leases.delete("a")
    tx.leases.delete("never")
    assert tx.leases.find("a") is None
    assert tx.leases.of_worker("w") == []
    assert tx.leases.was("a")
    assert not tx.leases.was("never")
    for name in ("a", "never"):
        with pytest.raises(NotFound, match="no lease"):
            tx.leases.get(name)
        with pytest.raises(NotFound, match="no lease"):
            tx.leases.change(name, hold=1)


def test_expired(tx, lease, moment):
    for name, seconds in (("a", 3), ("b", 1), ("c", 2), ("d", 0)):
        tx.leases.add(lease(name, expires_at=moment + timedelta(seconds=seconds)))
    tx.leases.delete("d")
    assert [row.lease for row in tx.leases.expired(moment + timedelta(seconds=2))] == ["b", "c"]
    assert tx.leases.expired(moment) == []


def test_ended_leases_are_forgotten_in_the_end(tx, lease):
    for name in ("old", "young", "live"):
        tx.leases.add(lease(name))
    tx.leases.change("old", ended_at=tx.now() - REMEMBERED - timedelta(seconds=1))
    tx.leases.change("young", ended_at=tx.now() - REMEMBERED + timedelta(minutes=1))
    tx.leases.add(lease("next"))
    assert [tx.leases.was(name) for name in ("old", "young", "live")] == [False, True, False]
    assert tx.leases.get("live") == lease("live")


def test_workers_are_counted_by_the_tasks_that_they_can_train(tx, lease, moment):
    for row in (
        lease("own", worker="me"),
        lease("a", worker="a"),
        lease("b", worker="b", recipe="{}", only_study="s"),
        lease("c", worker="c", tasks=("x",)),
        lease("of another study", worker="d", only_study="other"),
        lease("with another recipe", worker="e", recipe="[]"),
        lease("that wants nothing", worker="f", hold=0),
        lease("silent", worker="g", expires_at=moment),
        lease("ended", worker="h"),
    ):
        tx.leases.add(row)
    tx.leases.delete("ended")
    counts = tx.leases.n_working("s", recipes=("", "{}"), besides="me", now=moment)
    assert dict(counts) == {None: 2, ("x",): 1}
