"""What comes in: bodies are read strictly before any model sees them, and unknown query parameters are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterator
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.exceptions import HTTPException

from lrsearch.errors import Fault, InvalidInput
from lrsearch.frozen import MAX_INTEGER
from lrsearch.service import caller
from lrsearch.synonyms import nearest

from .scopes import needed

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 100_000
"""Lists and objects of a body: Python's collector slows down with each. A MiB of the shortest points has 70,000."""
_KEY = re.compile(rb'"\s*:')
_CONTROL_ESCAPE = re.compile(rb"\\(?:u00[01]|b|f)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_JSON_TYPE = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json", re.IGNORECASE)


def parse(raw: bytes) -> Any:
    """Strict JSON: UTF-8, finite numbers, integers below 2^53, 32 levels, no key twice, no control characters.

    Raises:
        InvalidInput: naming the law.
    """
    if (n_nodes := raw.count(b"[") + raw.count(b"{")) > MAX_NODES:
        raise InvalidInput(f"a body holds at most {MAX_NODES:,} lists and objects (got {n_nodes:,} brackets)")
    try:
        value = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput(
            f"the body is not valid JSON (UTF-8, finite numbers, at most {MAX_DEPTH} deep): {error}"
        ) from None
    n_keys = _check(value, texts=_CONTROL_ESCAPE.search(raw) is not None)
    n_colons = raw.count(b'":')
    if n_colons != raw.count(b":"):  # some stand behind a space, or in a text
        n_colons = len(_KEY.findall(raw))
    if n_keys != n_colons:
        json.loads(raw, object_pairs_hook=_unique)
    return value


def _check(value: Any, *, texts: bool) -> int:
    """Walk level by level; the number of keys."""
    level: list[Any] = [[value]]
    depth, n_keys = -1, 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise InvalidInput(f"JSON is nested at most {MAX_DEPTH} deep")
        deeper: list[Any] = []
        for node in level:
            children = node
            if type(node) is dict:
                n_keys += len(node)
                children = node.values()
                if texts:
                    _check_texts(node)
            for child in children:
                kind = type(child)
                if kind is dict or kind is list:
                    deeper.append(child)
                elif kind is int and not -MAX_INTEGER <= child <= MAX_INTEGER:
                    raise InvalidInput(f"integers are below 2^53 in size (got {child!r:.40})")
                elif kind is float and child - child != 0:
                    raise InvalidInput("numbers are finite; write null for what was not")
                elif texts and kind is str:
                    _check_texts((child,))
        level = deeper
    return n_keys


def _check_texts(texts: Collection[str]) -> None:
    for text in texts:
        if found := _CONTROL.search(text):
            raise InvalidInput(f"control characters are not allowed (got {found[0]!r})")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known: set[str] = set()
    for key, _ in pairs:
        if key in known:
            raise InvalidInput(f"a field is given once (got `{key:.100}` twice)", field=key)
        known.add(key)
    return dict(pairs)


class JsonRequest(Request):
    """A request whose body is read once, within the limit, and parsed strictly."""

    async def body(self) -> bytes:
        """The body, at most 1 MiB counted as received."""
        if not hasattr(self, "_body"):
            raw = bytearray()
            async for chunk in self.stream():
                raw += chunk
                if len(raw) > MAX_BYTES:
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BYTES:,} bytes")
            self._body = bytes(raw)
        return self._body

    async def json(self) -> Any:
        """The body's value."""
        if not hasattr(self, "_json"):
            self._json = parse(await self.body())
        return self._json

    async def read(self) -> None:
        """Read and check the body before the framework does, so that what is wrong is answered in our words."""
        if not await self.body():
            return
        media_type = self.headers.get("content-type", "").partition(";")[0].strip()
        if not _JSON_TYPE.fullmatch(media_type):
            raise HTTPException(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send `Content-Type: application/json` (got {media_type!r:.100})"
            )
        await self.json()


class StrictRoute(APIRoute):
    """A route that asks for its scope first, refuses query parameters it does not know, and reads bodies strictly."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # a coroutine function
        """As the framework's, with the checks before it."""
        handle = super().get_route_handler()
        known = list(_query_names(self.dependant))
        has_body = self.body_field is not None
        scopes = needed(self.openapi_extra)

        async def checked(request: Request) -> Response:
            caller().require(*scopes)
            if request.scope["query_string"]:
                _check_parameters(request, known)
            if has_body:
                request = JsonRequest(request.scope, request.receive)
                await request.read()
            return await handle(request)

        return checked


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for dependency in dependant.dependencies:
        yield from _query_names(dependency)


def _check_parameters(request: Request, known: Collection[str]) -> None:
    faults = []
    for name in dict.fromkeys(request.query_params):
        if name not in known:
            ours = nearest(name, known)
            options = f"known are {', '.join(known)}" if known else "this call takes none"
            advice = f"did you mean `{ours}`?" if ours in known else options
            faults.append(Fault(name[:100], f"unknown query parameter `{name:.100}`; {advice}"))
        elif len(values := request.query_params.getlist(name)) > 1:
            faults.append(Fault(name, f"the query parameter `{name}` is given once"))
        elif _CONTROL.search(values[0]):
            faults.append(Fault(name, f"control characters are not allowed in `{name}`"))
    if faults:
        raise InvalidInput("; ".join(fault.message for fault in faults), faults)
