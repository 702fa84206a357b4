"""The verbs on tokens, and on the audit of what was done with them."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta

from ..errors import Conflict, InvalidInput, NotFound, Unavailable
from ..study import AuditEntry, NewToken, Page, Token, TokenRequest
from .caller import caller
from .ground import Ground

SHAPE = re.compile(r"lrs_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
"""What a token of the database looks like: its id, then 256 random bits."""
USED_TO = timedelta(minutes=10)
"""How exactly it is known when a token was last used, so that reading does not mean writing."""


class Tokens(Ground):
    """Who may call, and who changed what."""

    def create_token(self, request: TokenRequest, *, key: str | None = None) -> NewToken:
        """Make a token; its secret is in the answer and nowhere else.

        Args:
            request: its name, scopes and end.
            key: an ``Idempotency-Key``: a second call with it makes no second token, but cannot tell the secret again.

        Raises:
            InvalidInput: it would have ended already.
            Conflict: the key was used before.
        """
        asked = {"token": request.model_dump(mode="json")}
        token_id = secrets.token_hex(6)
        text = f"lrs_{token_id}_{secrets.token_urlsafe(32)}"
        with self._writing(rings=False) as tx:
            if (made := self._answered(tx, Token, key, caller().name, asked)) is not None:
                raise Conflict(
                    f"this call was answered before: it made the token {made.id}, whose secret is shown once only; "
                    "if it was lost, revoke that token and make another"
                )
            if request.expires_at is not None and request.expires_at <= tx.now():
                at = request.expires_at.isoformat()
                raise InvalidInput(f"a token ends in the future (got {at})", field="expires_at")
            token = Token(id=token_id, created_at=tx.now(), **request.model_dump())
            tx.tokens.add(token, _digest(text))
            self._audit(tx, "create", f"tokens/{token_id}")
            self._answer(tx, token, key, caller().name, asked)
        return NewToken(**token.model_dump(), token=text)

    def tokens(self, *, limit: int = 50, cursor: str | None = None) -> Page[Token]:
        """Tokens, newest first; the revoked ones too."""
        with self.store.transaction(write=False) as tx:
            return tx.tokens.page(limit=limit, cursor=cursor)

    def revoke_token(self, token_id: str) -> None:
        """End a token; doing so twice is the same as once. Raises NotFound."""
        with self._writing(rings=False) as tx:
            found = tx.tokens.find(token_id)
            if found is None:
                raise NotFound(f"there is no token `{token_id:.100}`; `lrsearch token list` shows their ids")
            if found[0].revoked_at is None:
                tx.tokens.change(token_id, revoked_at=tx.now())
                self._audit(tx, "revoke", f"tokens/{token_id}")

    def audit(
        self,
        *,
        name: str | None = None,
        resource: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[AuditEntry]:
        """Who changed what, newest first; by a caller's name, of a resource and what is below it, from a moment on."""
        with self.store.transaction(write=False) as tx:
            return tx.audit.page(name=name, resource=resource, since=since, limit=limit, cursor=cursor)

    def token_of(self, text: str) -> Token | None:
        """The token that this is; None where it is none, or has ended. Compared in constant time."""
        shape = SHAPE.fullmatch(text)
        if shape is None:
            return None
        with self.store.transaction(write=False) as tx:
            found, now = tx.tokens.find(shape[1]), tx.now()
        if found is None or not hmac.compare_digest(_digest(text), found[1]) or not _is_good(found[0], now):
            return None
        token = found[0]
        if token.last_used_at is None or now - token.last_used_at > USED_TO:
            with contextlib.suppress(Unavailable), self.store.transaction() as tx:
                tx.tokens.change(token.id, last_used_at=now)
        return token

    def is_good(self, token_id: str) -> bool:
        """Whether a token is there and has not ended."""
        with self.store.transaction(write=False) as tx:
            found, now = tx.tokens.find(token_id), tx.now()
        return found is not None and _is_good(found[0], now)

    def needs_token(self) -> bool:
        """Whether a token was ever made: from then on nobody is let in without one, whatever became of it."""
        with self.store.transaction(write=False) as tx:
            return tx.tokens.exist()

    def has_admin_token(self) -> bool:
        """Whether there is a token with the scope ``admin`` that is good now."""
        with self.store.transaction(write=False) as tx:
            return tx.tokens.exist(admin=True)


def _is_good(token: Token, now: datetime) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
