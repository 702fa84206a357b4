"""What each ``Idempotency-Key`` was answered."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy import delete, select

from .columns import to_json
from .noun import Noun
from .tables import ANSWERS

KEPT = timedelta(days=1)
"""How long an answer is remembered."""


class Answers(Noun):
    """The verbs on answers."""

    def find(self, key: str, owner: str) -> tuple[str, str] | None:
        """The fingerprint of the request and the body of its answer, or None."""
        statement = select(ANSWERS.c.fingerprint, ANSWERS.c.body).where(ANSWERS.c.digest == _digest(key, owner))
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else (row.fingerprint, row.body)

    def put(self, key: str, owner: str, fingerprint: str, body_json: str) -> None:
        """Remember an answer; old ones are forgotten. Conflict if the owner has used the key."""
        self._connection.execute(delete(ANSWERS).where(ANSWERS.c.created_at < self._now() - KEPT))
        row = {"digest": _digest(key, owner), "fingerprint": fingerprint, "body": body_json, "created_at": self._now()}
        self._add(ANSWERS, row, f"the Idempotency-Key {key!r:.100} has been used; choose a fresh one")


def _digest(key: str, owner: str) -> str:
    # a key may be longer than an index takes, and of any characters
    return hashlib.sha256(to_json([key, owner]).encode()).hexdigest()
