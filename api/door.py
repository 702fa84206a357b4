"""Who gets in: by token, or from this machine alone."""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import re
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from lrsearch.errors import LrsearchError
from lrsearch.service import Access, Caller, calling

from .body import MAX_BYTES
from .buckets import Buckets
from .keyring import KeyRing
from .problem import problem, problem_of

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
OPEN_PATHS = frozenset({"/livez", "/readyz"})
"""What answers without a token."""
UNLIMITED = re.compile(r"/v1/leases/[^/]+(/reports)?")
"""Reports, heartbeats and the ends of leases: what is measured must come home."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
BURST_SECONDS = 10.0
"""So many seconds' worth of requests may come at once."""

MISSING = "this service needs a token: send `Authorization: Bearer ...` (LRSEARCH_TOKEN)"
UNKNOWN = "this token is not known, has ended or was revoked; check LRSEARCH_TOKEN"
SET_ONE = "give the service a token: `lrsearch token create`, or LRSEARCH_TOKEN"
TOO_MANY = "too many requests with this token ({rate:g} a second are allowed); wait, or ask for less at a time"


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, detail: str, wait: float = 0.0) -> None:
        self.status, self.detail = status, detail
        self.headers = {"Retry-After": str(math.ceil(wait))} if wait else {}


class Door:
    """Lets in whoever bears a token; where there is none at all, only this machine's own programs.

    * With a token, every call but the health routes needs one; any ``Host`` is served unless ``access`` says which: a
      page in somebody's browser does not have the token.
    * Without any, the client and the ``Host`` must be loopback (against DNS rebinding), and nothing may have been
      forwarded: a proxy on this machine must not open the door to everyone.
    * A writing call that a browser sent for a page of another origin is refused in both cases.
    """

    def __init__(self, app: ASGIApp, *, keys: KeyRing, access: Access) -> None:
        self.app = app
        self._keys = keys
        self._access = access
        self._rate = access.requests_per_second
        self._asked = None if self._rate is None else Buckets(self._rate, self._rate * BURST_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, or answer why not."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "there are no web sockets here"})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, request_id = Headers(scope=scope), scope["lrsearch.request_id"]
        refusal: Response
        try:
            caller = await self._enter(scope, headers)
        except _Refused as refused:
            refusal = problem(request_id, refused.status, refused.detail, headers=refused.headers)
        except LrsearchError as error:
            refusal = problem_of(request_id, error)
        else:
            scope["lrsearch.caller"] = caller
            with calling(caller):
                await self.app(scope, receive, send)
            return
        await refusal(scope, receive, send)

    async def _enter(self, scope: Scope, headers: Headers) -> Caller:
        """Who calls. Raises _Refused, or Unavailable where the database must be asked and is away."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        address = scope["lrsearch.address"] = self._address(scope, headers)
        if path in OPEN_PATHS:
            self._check_host(headers, closed=self._keys.closed)
            caller = Caller(name="-", scopes=())
        elif await self._keys.is_closed():
            self._check_host(headers, closed=True)
            caller = await self._bearer(headers)
        else:
            self._check_host(headers, closed=False)
            _check_local(scope, headers)
            caller = Caller()
        self._check_origin(scope, headers)
        _check_length(headers)
        if self._asked is not None and self._keys.closed and path not in OPEN_PATHS:
            wait = 0.0 if UNLIMITED.fullmatch(path) else self._asked.take(caller.token or caller.name)
            if wait:
                raise _Refused(HTTPStatus.TOO_MANY_REQUESTS, TOO_MANY.format(rate=self._rate), wait)
        return dataclasses.replace(caller, request_id=scope["lrsearch.request_id"], address=address)

    def _address(self, scope: Scope, headers: Headers) -> str | None:
        if not scope.get("client"):
            return None
        return self._access.caller_address(scope["client"][0], ",".join(headers.getlist("x-forwarded-for")))

    def _check_host(self, headers: Headers, *, closed: bool) -> None:
        if closed and not self._access.hosts:
            return
        hosts = headers.getlist("host")
        if len(hosts) == 1 and _without_port(hosts[0]) in LOOPBACK_HOSTS | self._access.hosts:
            return
        said, known = ", ".join(hosts), ", ".join([*sorted(LOOPBACK_HOSTS), *sorted(self._access.hosts)])
        raise _Refused(HTTPStatus.FORBIDDEN, f"the Host {said!r:.200} is not served here (known: {known})")

    async def _bearer(self, headers: Headers) -> Caller:
        given = headers.getlist("authorization")
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        if scheme.lower() != "bearer":
            raise _Refused(HTTPStatus.UNAUTHORIZED, MISSING)
        caller = await self._keys.caller(token.strip())
        if caller is None:
            raise _Refused(HTTPStatus.UNAUTHORIZED, UNKNOWN)
        return caller

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        origins: Sequence[str] = headers.getlist("origin")
        if scope["method"] in SAFE_METHODS or not origins:
            return
        netloc = _netloc(origins[0]) if len(origins) == 1 else ""
        if netloc and (netloc == headers.get("host", "").lower() or _without_port(netloc) in self._access.hosts):
            return
        raise _Refused(
            HTTPStatus.FORBIDDEN, f"pages of another origin may not write here (got Origin {origins[0]!r:.200})"
        )


def _check_local(scope: Scope, headers: Headers) -> None:
    for name in headers:
        if name in ("forwarded", "via", "x-real-ip") or name.startswith("x-forwarded-"):
            raise _Refused(
                HTTPStatus.FORBIDDEN,
                f"a forwarded request (header {name}) is not served without a token: {SET_ONE}",
            )
    if scope.get("client") and not _is_loopback(scope["client"][0]):
        raise _Refused(HTTPStatus.FORBIDDEN, f"other machines are not served without a token: {SET_ONE}")


def _check_length(headers: Headers) -> None:
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced[:20]) > MAX_BYTES:
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BYTES:,} bytes")


def _netloc(origin: str) -> str:
    """Host and port of an origin; empty where it has none, or is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return True  # a Unix socket, or a test's client: nothing that came over a network
