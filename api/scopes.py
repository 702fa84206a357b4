"""Which scope an operation needs: said once, where the operation is, in OpenAPI's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lrsearch.study import Scope

SCHEME = "token"
"""The name of the security scheme in the OpenAPI document."""
OPEN: dict[str, Any] = {"security": []}
"""``openapi_extra=`` of a route that answers everybody."""


def needs(*scopes: Scope) -> dict[str, Any]:
    """``openapi_extra=`` of a route that answers callers with one of these scopes.

    The route refuses what the document says it refuses: both read this.
    """
    return {"security": [{SCHEME: [scope]} for scope in scopes]}


def needed(extra: Mapping[str, Any] | None) -> tuple[Scope, ...]:
    """The scopes of which a caller needs one; none = everybody.

    Raises:
        TypeError: the route does not say.
    """
    if extra is None or "security" not in extra:
        raise TypeError("every route says which scopes it needs: `openapi_extra=needs(...)`, or OPEN")
    return tuple(scope for alternative in extra["security"] for scope in alternative[SCHEME])
