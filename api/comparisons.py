"""Comparisons of samplers at equal budget."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response

from lrsearch.service import caller
from lrsearch.study import Comparison, ComparisonSpec, Page

from .body import StrictRoute
from .examples import COMPARISONS
from .problem import described
from .scopes import needs
from .verbs import Cursor, IdempotencyKey, Limit, StudyName, TheService, as_json

router = APIRouter(prefix="/v1/comparisons", tags=["comparisons"], route_class=StrictRoute)


@router.post(
    "",
    openapi_extra=needs("write"),
    summary="Compare samplers",
    status_code=201,
    response_model=Comparison,
    responses={200: {"model": Comparison, "description": "It was there already"}, **described(409, 413, 415)},
)
def create_comparison(
    service: TheService,
    spec: Annotated[ComparisonSpec, Body(openapi_examples=COMPARISONS)],
    key: IdempotencyKey = None,
) -> Response:
    """Run every arm `repeats` times on the same task and space, with equal budgets."""
    comparison, created = service.compare(spec, owner=caller().name, key=key)
    return as_json(comparison, 201 if created else 200, {"Location": f"/v1/comparisons/{comparison.name}"})


@router.get("", openapi_extra=needs("read"), summary="List comparisons, newest first", responses=described())
def list_comparisons(service: TheService, limit: Limit = 50, cursor: Cursor = None) -> Page[Comparison]:
    """Give one page of comparisons."""
    return service.comparisons(limit=limit, cursor=cursor)


@router.get(
    "/{name}", openapi_extra=needs("read"), summary="A comparison and what it says so far", responses=described(404)
)
def get_comparison(service: TheService, name: StudyName) -> Comparison:
    """Give best-so-far by trials and by epochs trained, final values, and the verdict."""
    return service.comparison(name)
