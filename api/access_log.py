"""A line for every request: who called what, and what came of it; no secret, no query, no body."""

from __future__ import annotations

import logging

from starlette.types import Scope

log = logging.getLogger("lrsearch.access")


def log_request(scope: Scope, status: int, seconds: float) -> None:
    """Write the line; the record's ``request`` has its parts by name, for a log that is data.

    Of the address only the route is told (``/v1/studies/{name}``): whatever else somebody put there is not.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    route, caller = scope.get("route"), scope.get("lrsearch.caller")
    parts = {
        "id": scope["lrsearch.request_id"],
        "method": scope["method"] if scope["method"].isalpha() else "-",
        "route": getattr(route, "path", None),
        "status": status,
        "ms": round(1e3 * seconds, 1),
        "token": getattr(caller, "name", None),
        "address": scope.get("lrsearch.address"),
    }
    words = "%(method)s %(route)s %(status)s %(ms)s ms, %(token)s, %(id)s"
    log.info(words, {name: "-" if part is None else part for name, part in parts.items()}, extra={"request": parts})
