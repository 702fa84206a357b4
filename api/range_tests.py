"""Learning-rate range tests."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response

from lrsearch.service import caller
from lrsearch.study import Page, RangeTest, RangeTestSpec

from .body import StrictRoute
from .examples import RANGE_TESTS
from .problem import described
from .scopes import needs
from .verbs import Cursor, IdempotencyKey, Limit, StudyName, TheService, as_json

router = APIRouter(prefix="/v1/range-tests", tags=["range tests"], route_class=StrictRoute)


@router.post(
    "",
    openapi_extra=needs("write"),
    summary="Find good learning rates",
    status_code=201,
    response_model=RangeTest,
    responses={200: {"model": RangeTest, "description": "It was there already"}, **described(409, 413, 415)},
)
def create_range_test(
    service: TheService,
    spec: Annotated[RangeTestSpec, Body(openapi_examples=RANGE_TESTS)],
    key: IdempotencyKey = None,
) -> Response:
    """Train a fresh model of the task with rising rates; it starts when a worker that offers its task is free."""
    test, created = service.range_test(spec, owner=caller().name, key=key)
    return as_json(test, 201 if created else 200, {"Location": f"/v1/range-tests/{test.name}"})


@router.get("", openapi_extra=needs("read"), summary="List range tests, newest first", responses=described())
def list_range_tests(service: TheService, limit: Limit = 50, cursor: Cursor = None) -> Page[RangeTest]:
    """Give one page of range tests."""
    return service.range_tests(limit=limit, cursor=cursor)


@router.get("/{name}", openapi_extra=needs("read"), summary="A range test and what it found", responses=described(404))
def get_range_test(service: TheService, name: StudyName) -> RangeTest:
    """Give the curve, every rule's suggestion, the range to search and the edge where training gets lost."""
    return service.range_test_named(name)
