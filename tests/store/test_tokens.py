"""Tokens and the audit in the store, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from alembic import command
from sqlalchemy import text

from lrsearch.errors import Conflict, InvalidInput, NotFound
from lrsearch.store import Store, schema
from lrsearch.study import AuditEntry, Token

KEPT = timedelta(days=90)


def token(number: int, **fields) -> Token:
    return Token.model_validate({"id": f"{number:012x}", "name": "ann", "scopes": ("read",)} | fields)


def test_a_token_comes_back_as_it_was(store: Store, moment) -> None:
    it = token(1, scopes=("admin", "read"), created_at=moment, expires_at=moment + timedelta(days=3))
    assert it.scopes == ("read", "admin")
    with store.transaction() as tx:
        tx.tokens.add(it, b"\x00\xff" * 16)
        with pytest.raises(Conflict):
            tx.tokens.add(it, b"other")
        tx.tokens.change(it.id, last_used_at=moment)
        with pytest.raises(NotFound):
            tx.tokens.change("0" * 12, last_used_at=moment)
    with store.transaction(write=False) as tx:
        assert tx.tokens.find(it.id) == (it.model_copy(update={"last_used_at": moment}), b"\x00\xff" * 16)
        assert tx.tokens.find("f" * 12) is None


def test_whether_there_is_one_that_is_good(store: Store) -> None:
    with store.transaction() as tx:
        now = tx.now()
        assert not tx.tokens.exist()
        tx.tokens.add(token(1, created_at=now), b"a")
        assert tx.tokens.exist()
        assert not tx.tokens.exist(admin=True)
        tx.tokens.add(token(2, created_at=now, scopes=("admin",), expires_at=now - timedelta(seconds=1)), b"b")
        tx.tokens.add(token(3, created_at=now, scopes=("admin",), revoked_at=now), b"c")
        assert not tx.tokens.exist(admin=True)
        tx.tokens.add(token(4, created_at=now, scopes=("write", "admin"), expires_at=now + timedelta(days=1)), b"d")
        assert tx.tokens.exist(admin=True)


def test_tokens_and_audit_are_paged(store: Store, moment) -> None:
    with store.transaction() as tx:
        for number in range(5):
            tx.tokens.add(token(number, created_at=moment), b"x")
            entry = AuditEntry(at=tx.now(), name="ab"[number % 2], verb="pause", resource=f"studies/s{number}")
            tx.audit.add(entry, kept=KEPT)
            tx.audit.add(entry.model_copy(update={"resource": f"studies/s{number}/trials/0"}), kept=KEPT)
    with store.transaction(write=False) as tx:
        first = tx.tokens.page(limit=3)
        rest = tx.tokens.page(limit=3, cursor=first.next)
        assert [it.id[-1] for it in (*first.items, *rest.items)] == list("43210")
        assert rest.next is None
        first = tx.audit.page(limit=7)
        rest = tx.audit.page(limit=7, cursor=first.next)
        assert len(first.items) + len(rest.items) == 10
        assert first.items[0].resource == "studies/s4/trials/0"
        assert {it.resource for it in tx.audit.page(name="b").items} == {
            "studies/s1", "studies/s1/trials/0", "studies/s3", "studies/s3/trials/0"
        }  # fmt: skip
        assert [it.resource for it in tx.audit.page(resource="studies/s2").items] == [
            "studies/s2/trials/0",
            "studies/s2",
        ]
        assert tx.audit.page(resource="studies/s%").items == ()
        for page in (tx.tokens.page, tx.audit.page):
            with pytest.raises(InvalidInput, match="cursor"):
                page(cursor="x")


def test_old_audit_rows_are_forgotten(store: Store) -> None:
    with store.transaction() as tx:
        old = AuditEntry(at=tx.now() - timedelta(days=91), name="a", verb="delete", resource="studies/s")
        tx.audit.add(old, kept=KEPT)
        new = old.model_copy(update={"at": tx.now(), "request_id": "r", "address": "::1", "token": "0" * 12})
        tx.audit.add(new, kept=KEPT)
        assert tx.audit.page().items == (new,)


def test_a_database_without_them_is_upgraded_with_what_it_holds(store: Store, study) -> None:
    with store.transaction() as tx:
        tx.studies.add(study("s", owner="ann"))
    with store._engines["migrate"].connect() as connection, connection.begin():
        command.downgrade(schema.configuration(connection), "0002")
        assert connection.execute(text("SELECT owner FROM studies")).scalar_one() == "ann"
    assert not store.versions().newest
    store.migrate()
    assert store.versions().newest
    with store.transaction() as tx:
        assert tx.studies.get("s") == study("s", owner="ann")
        assert not tx.tokens.exist()
