"""Requests and answers: the token, the retries, and errors as the classes everybody catches."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from ..errors import Conflict, Fault, InvalidInput, LrsearchError, NotAllowed, NotFound, Unavailable
from ..frozen import NEWER
from .trust import distrust, trusted

FIRST_DELAY = 0.1
MAX_DELAY = 2.0
AWAY: frozenset[int] = frozenset({429, 502, 503, 504})
ERRORS: Mapping[int, type[LrsearchError]] = MappingProxyType(
    {401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict} | dict.fromkeys(AWAY, Unavailable)
)
"""The error of a status; the other 4xx are InvalidInput, the rest LrsearchError."""

Answer = TypeVar("Answer")


class Transport:
    """A kept-alive connection to one server; thread-safe.

    Every call may be repeated without harm (the client sends a key with those that create), so whatever fails for
    want of an answer is tried again, with growing pauses, for ``patience`` seconds.
    """

    def __init__(self, server: str, token: str | None, *, timeout: float, patience: float) -> None:
        url = urlsplit(server)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise InvalidInput(
                f"a server is an address like http://127.0.0.1:8000 (got {server!r:.200})", field="server"
            )
        if token is not None and not (token and token.isascii() and token.isprintable()):
            raise InvalidInput("a token is printable ASCII", field="token")
        self.server = server.rstrip("/")
        self._patience = patience
        self._http = httpx.Client(
            base_url=self.server,
            timeout=timeout,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            verify=trusted() if url.scheme == "https" else True,
            trust_env=not _is_loopback(url.hostname),  # a proxy cannot reach this machine's own addresses
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def with_patience(self, seconds: float) -> Transport:
        """The same connections, with other patience."""
        other = copy.copy(self)
        other._patience = seconds
        return other

    def send(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: str | None = None, key: str = ""
    ) -> httpx.Response:
        """Send a request until it is answered, at most for ``patience`` seconds after the first failure.

        Raises:
            LrsearchError: the class that fits the problem; Unavailable when there is no answer.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key:
            headers["Idempotency-Key"] = key
        request = self._http.build_request(method, path, params=_given(query), content=body, headers=headers)
        return self._answered(request)

    @contextmanager
    def stream(
        self, path: str, *, query: Mapping[str, Any] | None = None, headers: Mapping[str, str]
    ) -> Iterator[httpx.Response]:
        """An answer that is read while it comes; sent and retried as by ``send``."""
        request = self._http.build_request("GET", path, params=_given(query), headers=headers)
        with closing(self._answered(request, stream=True)) as response:
            yield response

    def _answered(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        deadline, delay, tries = 0.0, FIRST_DELAY, 0
        while True:
            tries += 1
            problem, wait = self._try(request, stream)
            if isinstance(problem, httpx.Response):
                if problem.is_success:
                    return problem
                if problem.status_code == 404 and request.method == "DELETE" and tries > 1:
                    return problem  # done by a try whose answer was lost
                raise error_of(problem, self.server)
            pause = max(wait, delay * random.uniform(0.5, 1))
            deadline = deadline or time.monotonic() + self._patience
            if time.monotonic() + pause > deadline:
                raise problem
            time.sleep(pause)
            delay = min(2 * delay, MAX_DELAY)

    def _try(self, request: httpx.Request, stream: bool) -> tuple[httpx.Response | LrsearchError, float]:
        """One try: an answer; or an error that may pass, and how long the server wants to be left alone."""
        try:
            response = self._http.send(request, stream=stream)
            if stream and not response.is_success:
                response.read()
        except httpx.TimeoutException:
            return Unavailable(f"{self.server} did not answer in time; is it overloaded? Try again later"), 0.0
        except httpx.TransportError as error:
            if (why := distrust(error)) is not None:
                return Unavailable(
                    f"the certificate of {self.server} is not trusted ({why}): let SSL_CERT_FILE name a file with its "
                    "authority's certificate"
                ), 0.0
            return Unavailable(
                f"no answer from {self.server} ({error or type(error).__name__}): is the service running there? "
                "Start it with `lrsearch serve`, or give its address with --server or LRSEARCH_SERVER"
            ), 0.0
        if response.status_code in AWAY:
            after = response.headers.get("retry-after", "")
            return error_of(response, self.server), float(after) if after.isdigit() else 0.0
        return response, 0.0

    def read(self, answer: type[Answer], response: httpx.Response) -> Answer:
        """The answer as a model; fields that a newer server added are left out."""
        try:
            return _adapter(answer).validate_python(from_json(response.content), context=NEWER)
        except (ValueError, ValidationError) as error:
            raise LrsearchError(
                f"the answer of {self.server} is not understood: is it an lrsearch service, and no older than this "
                f"client? ({str(error)[:300]})"
            ) from error


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(model: type[Answer]) -> TypeAdapter[Answer]:
    if model not in _ADAPTERS:
        _ADAPTERS[model] = TypeAdapter(model)
    return _ADAPTERS[model]


def error_of(response: httpx.Response, server: str) -> LrsearchError:
    """What an answer that is no success means."""
    status = response.status_code
    kind = ERRORS.get(status, InvalidInput if 400 <= status < 500 else LrsearchError)
    try:
        problem = response.json()
        detail = str(problem["detail"])
        faults = [Fault(str(item["field"]), str(item["message"])) for item in problem.get("errors", [])]
    except (ValueError, LookupError, TypeError, AttributeError):
        text = " ".join(response.text[:200].split())
        return kind(f"{server} answered {status} and no reason that an lrsearch service gives: {text or 'nothing'}")
    if kind is InvalidInput:
        return InvalidInput(detail, faults)
    request_id = problem.get("request_id")
    return kind(f"{detail} (request {request_id})" if status >= 500 and status not in AWAY else detail)


def _given(query: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (query or {}).items() if value is not None}


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
