"""Tokens in the store: of a secret only its digest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, or_, select, update

from ..errors import NotFound
from ..study import Page, Token
from . import cursors
from .columns import from_json, to_json
from .noun import Noun
from .tables import TOKENS

PLAIN = ("id", "name", "created_at", "expires_at", "last_used_at", "revoked_at")


class Tokens(Noun):
    """The verbs on tokens. A revoked one stays, so that the audit can still be read."""

    def add(self, token: Token, digest: bytes) -> None:
        """Store a token. Conflict if the id exists."""
        row = {name: getattr(token, name) for name in PLAIN}
        self._add(TOKENS, row | {"scopes": to_json(token.scopes), "digest": digest}, "there is such a token already")

    def find(self, token_id: str) -> tuple[Token, bytes] | None:
        """A token and the digest of its secret, or None."""
        row = self._connection.execute(select(TOKENS).where(TOKENS.c.id == token_id)).one_or_none()
        return None if row is None else (_token(row), row.digest)

    def change(self, token_id: str, **moments: Any) -> None:
        """Set ``last_used_at`` or ``revoked_at``. Raises NotFound."""
        statement = update(TOKENS).where(TOKENS.c.id == token_id).values(**moments)
        if self._connection.execute(statement).rowcount == 0:
            raise NotFound(f"there is no token `{token_id:.100}`")

    def exist(self, *, admin: bool = False) -> bool:
        """Whether there ever was one; with ``admin``, whether one with that scope is good now."""
        statement = select(TOKENS.c.number).limit(1)
        if admin:
            in_time = or_(TOKENS.c.expires_at.is_(None), TOKENS.c.expires_at > self._now())
            statement = statement.where(TOKENS.c.scopes.contains('"admin"'), TOKENS.c.revoked_at.is_(None), in_time)
        return self._connection.execute(statement).first() is not None

    def page(self, *, limit: int = 50, cursor: str | None = None) -> Page[Token]:
        """Tokens, newest first. Raises InvalidInput for a cursor of another listing."""
        statement = select(TOKENS).order_by(TOKENS.c.number.desc()).limit(cursors.page_of(limit) + 1)
        if cursor is not None:
            (after,) = cursors.read("tokens", cursor, (int,))
            statement = statement.where(TOKENS.c.number < after)
        rows = self._connection.execute(statement).all()
        following = cursors.write("tokens", (rows[limit - 1].number,)) if len(rows) > limit else None
        return Page[Token](items=tuple(map(_token, rows[:limit])), next=following)


def _token(row: Row[*tuple[Any, ...]]) -> Token:
    fields = {name: row._mapping[name] for name in PLAIN}
    return Token.model_validate(fields | {"scopes": from_json(row._mapping["scopes"])})
