"""Tokens: who may call, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, AwareDatetime, Field

from ..frozen import Frozen
from .text import Name

Scope = Literal["read", "write", "worker", "admin"]
SCOPES: Mapping[Scope, str] = MappingProxyType(
    {
        "read": "see everything",
        "write": "see everything, create, change what is its owner's, and lease its owner's external studies",
        "worker": "lease anything and report on it",
        "admin": "everything, tokens and the audit included",
    }
)
"""What a token may do, by scope."""
GRANTS: Mapping[Scope, frozenset[Scope]] = MappingProxyType(
    {
        "read": frozenset({"read"}),
        "write": frozenset({"read", "write"}),
        "worker": frozenset({"worker"}),
        "admin": frozenset(get_args(Scope)),
    }
)
"""The scopes that each stands for."""


def _in_order(scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    return tuple(scope for scope in SCOPES if scope in scopes)


Scopes = Annotated[tuple[Scope, ...], Field(min_length=1, max_length=20, fail_fast=True), AfterValidator(_in_order)]


class TokenRequest(Frozen):
    """A token to be made."""

    name: Name
    """Whose it is: studies belong to the name of the token that created them. Several tokens may share a name."""
    scopes: Scopes
    """What it may do."""
    expires_at: AwareDatetime | None = None
    """When it ends by itself; null = never."""


class Token(Frozen):
    """A token, without its secret."""

    id: str
    """What it is revoked by; no secret."""
    name: Name
    scopes: Scopes
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    last_used_at: AwareDatetime | None = None
    """To ten minutes."""
    revoked_at: AwareDatetime | None = None


class NewToken(Token):
    """A token that was just made, with its secret: shown this once, stored nowhere."""

    token: str
    """What callers send: ``Authorization: Bearer lrs_<id>_<secret>``."""


class AuditEntry(Frozen):
    """One change: who made it, what it was, and when."""

    at: AwareDatetime
    name: str
    """The name of the caller's token; ``local`` for the shared token, and where no token is needed."""
    token: str | None = None
    """The id of the caller's token; null for a token that was given to `lrsearch serve`, and without one."""
    verb: str
    """``create``, ``change``, ``pause``, ``resume``, ``cancel``, ``delete``, ``revoke``."""
    resource: str
    """What was changed: ``studies/digits-step``, ``studies/digits-step/trials/3``, ``tokens/9f1c...``."""
    request_id: str | None = None
    """The request's id, which its log line has too."""
    address: str | None = None
    """Where the request came from."""
