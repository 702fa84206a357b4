"""Around every request: its id, the headers of every answer, and an answer even where something broke."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access_log import log_request
from .metrics import Metrics
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


STOPPED = "the service was stopped before this was answered; it may have been done: call again once it is back"
_ENCRYPTED = {"Strict-Transport-Security": "max-age=31536000"}


class Envelope:
    """Gives requests an id (theirs, if they bring a plain one in ``X-Request-ID``), and answers failures with 500.

    Args:
        app: what is inside.
        public_url: how the service is reached through a proxy.
        metrics: where requests are counted.
        prefix: that URL's path, which stands before every path; a proxy may take it off requests, or leave it.
    """

    def __init__(self, app: ASGIApp, *, public_url: str | None = None, prefix: str = "", metrics: Metrics) -> None:
        self.app = app
        self._prefix = prefix
        self._metrics = metrics
        encrypted = public_url is not None and public_url.lower().startswith("https:")
        self._headers = _HEADERS | (_ENCRYPTED if encrypted else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        scope["lrsearch.request_id"] = request_id
        scope["root_path"] = self._prefix
        begun, status, started = time.perf_counter(), 0, False

        async def send_sealed(message: Message) -> None:
            nonlocal started, status
            if message["type"] == "http.response.start":
                started, status = True, message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if self._prefix and headers.get("location", "").startswith("/"):
                    headers["Location"] = self._prefix + headers["location"]
            await send(message)

        try:
            await self.app(scope, receive, send_sealed)
        except ClientDisconnect:
            log.info("%s %s: the client left (request %s)", scope["method"], scope["path"][:200], request_id)
        except asyncio.CancelledError:  # the server stops, and has no more time for this one
            if not started:
                answer = problem(request_id, HTTPStatus.SERVICE_UNAVAILABLE, STOPPED)
                await answer(scope, receive, send_sealed)
        except Exception:
            log.exception("%s %s failed (request %s)", scope["method"], scope["path"][:200], request_id)
            if started:
                raise
            detail = f"the service failed; its log says why under request id {request_id}"
            answer = problem(request_id, HTTPStatus.INTERNAL_SERVER_ERROR, detail)
            await answer(scope, receive, send_sealed)
        finally:
            seconds = time.perf_counter() - begun
            self._metrics.count(scope, status, seconds)
            log_request(scope, status, seconds)
