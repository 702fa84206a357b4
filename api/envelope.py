"""Around every request: its id, the headers of every answer, and an answer even where something broke."""

from __future__ import annotations

import logging
import re
import uuid
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import problem

log = logging.getLogger("lrsearch.api")

_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Envelope:
    """Gives requests an id (theirs, if they bring a plain one in ``X-Request-ID``), and answers failures with 500."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        scope["lrsearch.request_id"] = request_id
        started = False

        async def send_sealed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, send_sealed)
        except ClientDisconnect:
            log.info("%s %s: the client left (request %s)", scope["method"], scope["path"][:200], request_id)
        except Exception:
            log.exception("%s %s failed (request %s)", scope["method"], scope["path"][:200], request_id)
            if started:
                raise
            detail = f"the service failed; its log says why under request id {request_id}"
            answer = problem(request_id, HTTPStatus.INTERNAL_SERVER_ERROR, detail)
            await answer(scope, receive, send_sealed)
