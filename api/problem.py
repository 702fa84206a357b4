"""Every error as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from lrsearch.errors import Conflict, Fault, InvalidInput, LrsearchError, NotAllowed, NotFound, Unavailable
from lrsearch.frozen import faults_in

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
MAX_FAULTS = 50
"""So many broken laws are told of one input."""

STATUS: Mapping[type[LrsearchError], HTTPStatus] = MappingProxyType(
    {
        InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
        NotFound: HTTPStatus.NOT_FOUND,
        Conflict: HTTPStatus.CONFLICT,
        NotAllowed: HTTPStatus.FORBIDDEN,
        Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
        LrsearchError: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)
"""The status of every group of errors."""

TITLES: Mapping[int, str] = MappingProxyType(
    {
        400: "Bad request",
        401: "Token needed",
        403: "Not allowed",
        404: "Not found",
        405: "Method not allowed",
        409: "Conflict",
        413: "Body too large",
        415: "Not JSON",
        422: "Invalid input",
        429: "Too many requests",
        500: "Failure",
        503: "Unavailable",
    }
)
"""The kinds of problems in words; ``type`` is made of them."""

HEADERS: Mapping[HTTPStatus, Mapping[str, str]] = MappingProxyType(
    {
        HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": 'Bearer realm="lrsearch"'},
        HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": str(RETRY_AFTER_SECONDS)},
        HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(RETRY_AFTER_SECONDS)},
    }
)
"""What a status says in its headers besides."""


class BrokenLaw(BaseModel):
    """One broken law in an input."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    field: str
    """Dotted path of the field; empty for the whole input."""
    message: str
    """The law, the value that broke it, and what to write instead."""


class Problem(BaseModel):
    """What went wrong, and what to do next."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """The kind of problem, ``urn:lrsearch:problem:not-found``."""
    title: str
    """The kind in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What went wrong this time."""
    errors: list[BrokenLaw] = []
    """The broken laws of an invalid input."""
    request_id: str
    """Stands in the service's log too."""


def problem(
    request_id: str,
    status: HTTPStatus,
    detail: str,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that went wrong."""
    title = TITLES.get(status, status.phrase)
    body = Problem(
        type="urn:lrsearch:problem:" + title.lower().replace(" ", "-"),
        title=title,
        status=status,
        detail=detail[:2000],
        errors=[BrokenLaw(field=fault.field[:500], message=fault.message[:2000]) for fault in faults[:MAX_FAULTS]],
        request_id=request_id,
    )
    text = body.model_dump_json(ensure_ascii=True)
    return Response(text, status, {**HEADERS.get(status, {}), **(headers or {})}, MEDIA_TYPE)


def problem_of(request_id: str, error: LrsearchError) -> Response:
    """The answer that fits an error raised on purpose."""
    status = next(STATUS[group] for group in type(error).__mro__ if group in STATUS)
    faults = error.faults if isinstance(error, InvalidInput) else ()
    return problem(request_id, status, str(error), faults)


def answer_errors(app: FastAPI) -> None:
    """Make ``app`` answer every error with a problem."""

    async def on_lrsearch_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, LrsearchError)
        return problem_of(request_id_of(request), error)

    async def on_invalid_request(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _invalid_request(request_id_of(request), error.errors())

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        detail = error.detail if error.detail != status.phrase else ""
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            detail = f"{request.method} {request.url.path!r:.200} is not a call of this service; see /openapi.json"
        return problem(request_id_of(request), status, detail or status.description, headers=error.headers)

    app.add_exception_handler(LrsearchError, on_lrsearch_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(HTTPException, on_http_error)


def _invalid_request(request_id: str, items: Sequence[Mapping[str, Any]]) -> Response:
    """Broken laws of path, query, headers and body; a path that names nothing possible is simply not found."""
    faults = []
    for fault, item in zip(faults_in(items), items, strict=True):
        place, _, field = fault.field.partition(".")
        if place == "path":
            return problem(request_id, HTTPStatus.NOT_FOUND, f"nothing is found there: {field}: {fault.message}")
        missing_body = place == "body" and item["type"] == "missing" and not field
        faults.append(Fault(field, "a JSON body is needed, and none came" if missing_body else fault.message))
    detail = "; ".join(str(fault) for fault in faults[:MAX_FAULTS])
    return problem(request_id, HTTPStatus.UNPROCESSABLE_ENTITY, detail, faults)


def request_id_of(request: Request) -> str:
    """The id that the envelope gave this request."""
    return str(request.scope.get("lrsearch.request_id", ""))


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a route: the problems it may answer with, for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": TITLES[status], "content": content}
        for status in sorted({*statuses, 401, 403, 422, 429, 500, 503})
    }
