"""The verbs on tokens over HTTP, and on the audit of what was done with them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ..study import AuditEntry, NewToken, Page, Token, TokenRequest
from .transport import Transport


class Tokens:
    """Who may call, and who changed what; needs a token with the scope ``admin``."""

    _transport: Transport

    def create_token(self, request: TokenRequest | Mapping[str, Any], *, key: str | None = None) -> NewToken:
        """Make a token; its secret is in the answer and nowhere else.

        Raises:
            InvalidInput: it would have ended already.
            Conflict: the answer to an earlier try was lost; it names the token to be revoked.
        """
        given = request if isinstance(request, TokenRequest) else TokenRequest.read(dict(request))
        body = given.model_dump_json()
        answer = self._transport.send("POST", "/v1/tokens", body=body, key=key or uuid.uuid4().hex)
        return self._transport.read(NewToken, answer)

    def tokens(self, *, limit: int = 50, cursor: str | None = None) -> Page[Token]:
        """Tokens, newest first; the revoked ones too."""
        query = {"limit": limit, "cursor": cursor}
        return self._transport.read(Page[Token], self._transport.send("GET", "/v1/tokens", query=query))

    def revoke_token(self, token_id: str) -> None:
        """End a token; doing so twice is the same as once. Raises NotFound."""
        self._transport.send("DELETE", f"/v1/tokens/{quote(token_id, safe='')}")

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
        begun = None if since is None else since.isoformat()
        query = {"name": name, "resource": resource, "since": begun, "limit": limit, "cursor": cursor}
        return self._transport.read(Page[AuditEntry], self._transport.send("GET", "/v1/audit", query=query))
