"""The catalog: everything a spec may name."""

from __future__ import annotations

from fastapi import APIRouter

from lrsearch.study import Catalog

from .body import StrictRoute
from .problem import described
from .scopes import needs
from .verbs import TheService

router = APIRouter(prefix="/v1/catalog", tags=["catalog"], route_class=StrictRoute)


@router.get(
    "",
    openapi_extra=needs("read"),
    summary="Tasks, families, warm-ups, optimisers, samplers, pruners, export targets",
    responses=described(),
)
def get_catalog(service: TheService) -> Catalog:
    """Give each with its parameters, ranges, defaults and a line of help."""
    return service.catalog()
