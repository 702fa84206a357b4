"""Workers: who is there, and doing what."""

from __future__ import annotations

from fastapi import APIRouter

from lrsearch.study import Page, Worker

from .body import StrictRoute
from .problem import described
from .scopes import needs
from .verbs import TheService

router = APIRouter(prefix="/v1/workers", tags=["workers"], route_class=StrictRoute)


@router.get("", openapi_extra=needs("read"), summary="List workers", responses=described())
def list_workers(service: TheService) -> Page[Worker]:
    """Give every worker the service has heard of in seven days, with its device, versions and what it holds."""
    return Page[Worker](items=tuple(service.workers()))
