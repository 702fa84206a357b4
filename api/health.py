"""Health: alive, and ready to work. Neither needs a token."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from lrsearch.frozen import Frozen

from .body import StrictRoute
from .problem import described
from .scopes import OPEN
from .verbs import TheLanes, TheService

router = APIRouter(tags=["health"], route_class=StrictRoute)


class Health(Frozen):
    """The service is well."""

    status: Literal["ok"] = "ok"


@router.get("/livez", openapi_extra=OPEN, summary="Whether the service is alive", responses=described())
async def livez() -> Health:
    """Answer."""
    return Health()


@router.get(
    "/readyz", openapi_extra=OPEN, summary="Whether its database is reachable and migrated", responses=described()
)
async def readyz(service: TheService, lanes: TheLanes) -> Health:
    """Answer, or 503 where the database is away or of another version."""
    await lanes.look(service.ready)
    return Health()
