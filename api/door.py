"""Who gets in: by token, or from this machine alone."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Collection, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from lrsearch.errors import InvalidInput

from .body import MAX_BYTES
from .problem import problem

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
OPEN_PATHS = frozenset({"/livez", "/readyz"})
"""What answers without a token."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Refusal = tuple[HTTPStatus, str]

NO_TOKEN = (HTTPStatus.UNAUTHORIZED, "this service needs a token: send `Authorization: Bearer ...` (LRSEARCH_TOKEN)")
WRONG_TOKEN = (HTTPStatus.UNAUTHORIZED, "this is not the service's token; check LRSEARCH_TOKEN")


class Door:
    """Lets in whoever bears the token; without one configured, only this machine's own programs.

    * With a token, every call but the health routes needs it; any ``Host`` is served unless ``allowed_hosts`` says
      which: a page in somebody's browser does not have the token.
    * Without one, the client and the ``Host`` must be loopback (against DNS rebinding), and nothing may have been
      forwarded: a proxy on this machine must not open the door to everyone.
    * A writing call that a browser sent for a page of another origin is refused in both cases.
    """

    def __init__(self, app: ASGIApp, *, token: str | None = None, allowed_hosts: Collection[str] = ()) -> None:
        if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
            raise InvalidInput("a token is one word of printable ASCII characters", field="token")
        if allowed_hosts and token is None:
            raise InvalidInput("serving other host names needs a token (LRSEARCH_TOKEN)", field="allowed_hosts")
        self.app = app
        self._token = None if token is None else _digest(token.encode())
        self._hosts = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, or answer why not."""
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            await problem(scope["lrsearch.request_id"], *refusal)(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "there are no web sockets here"})
            return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        health = scope["path"] in OPEN_PATHS
        refusal = self._wrong_host(headers)
        if refusal is None and not health:
            refusal = self._not_local(scope, headers) if self._token is None else self._wrong_token(headers)
        return refusal or self._other_origin(scope, headers) or _too_large(headers)

    def _wrong_host(self, headers: Headers) -> Refusal | None:
        if self._token is not None and not self._hosts:
            return None
        hosts = headers.getlist("host")
        if len(hosts) == 1 and _without_port(hosts[0]) in LOOPBACK_HOSTS | self._hosts:
            return None
        said = ", ".join(hosts)
        return HTTPStatus.FORBIDDEN, f"the Host {said!r:.200} is not served here (known: {self._known_hosts()})"

    def _known_hosts(self) -> str:
        return ", ".join([*sorted(LOOPBACK_HOSTS), *sorted(self._hosts)])

    def _not_local(self, scope: Scope, headers: Headers) -> Refusal | None:
        for name in headers:
            if name == "forwarded" or name.startswith("x-forwarded-"):
                return HTTPStatus.FORBIDDEN, (
                    f"a forwarded request (header {name}) is not served without a token: "
                    "start the service with LRSEARCH_TOKEN set"
                )
        if scope.get("client") and not _is_loopback(scope["client"][0]):
            return HTTPStatus.FORBIDDEN, (
                "other machines are not served without a token: start the service with LRSEARCH_TOKEN set"
            )
        return None

    def _wrong_token(self, headers: Headers) -> Refusal | None:
        given = headers.getlist("authorization")
        if len(given) != 1:
            return NO_TOKEN
        scheme, _, token = given[0].partition(" ")
        if scheme.lower() != "bearer":
            return NO_TOKEN
        assert self._token is not None
        same = hmac.compare_digest(_digest(token.strip().encode("latin-1")), self._token)
        return None if same else WRONG_TOKEN

    def _other_origin(self, scope: Scope, headers: Headers) -> Refusal | None:
        origins: Sequence[str] = headers.getlist("origin")
        if scope["method"] in SAFE_METHODS or not origins:
            return None
        netloc = urlsplit(origins[0]).netloc.lower() if len(origins) == 1 else ""
        if netloc and (netloc == headers.get("host", "").lower() or _without_port(netloc) in self._hosts):
            return None
        return HTTPStatus.FORBIDDEN, f"pages of another origin may not write here (got Origin {origins[0]!r:.200})"


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return True  # a Unix socket, or a test's client: nothing that came over a network


def _too_large(headers: Headers) -> Refusal | None:
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced[:20]) > MAX_BYTES:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BYTES:,} bytes"
    return None
