from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from lrsearch.errors import Conflict
from lrsearch.store.answers import KEPT
from lrsearch.store.tables import ANSWERS


def test_answers_are_kept_for_a_key_and_an_owner(store):
    odd = "\ud800\0" + "k" * 9000
    with store.transaction() as tx:
        tx.answers.put("k", "ann", "f", '{"é": 1}')
        tx.answers.put("k", "bob", "g", "{}")
        tx.answers.put(odd, "bob", "h", "[]")
    with store.transaction() as tx:
        assert tx.answers.find("k", "ann") == ("f", '{"é": 1}')
        assert tx.answers.find("k", "bob") == ("g", "{}")
        assert tx.answers.find(odd, "bob") == ("h", "[]")
        assert tx.answers.find("kann", "") is None
        with pytest.raises(Conflict, match="Idempotency-Key"):
            tx.answers.put("k", "ann", "other", "{}")
        assert tx.answers.find("k", "ann") == ("f", '{"é": 1}')


def test_old_answers_are_forgotten(store):
    with store.transaction() as tx:
        tx.answers.put("old", "ann", "f", "{}")
        tx.connection.execute(update(ANSWERS).values(created_at=tx.now() - KEPT - timedelta(seconds=1)))
        tx.answers.put("new", "ann", "f", "{}")
        assert tx.answers.find("old", "ann") is None
        assert tx.answers.find("new", "ann") is not None
