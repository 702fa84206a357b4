"""Leases: workers ask for trials, report on them, and give them back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Response

from lrsearch.study import Lease, LeaseRequest, ReportAnswer, ReportRequest

from .body import StrictRoute
from .examples import LEASES, REPORTS
from .problem import described
from .verbs import TheService, as_json

router = APIRouter(prefix="/v1/leases", tags=["leases"], route_class=StrictRoute)

LeaseId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,100}$", description="The lease's id.")]


@router.post("", summary="Ask for trials to train", response_model=Lease, responses=described(404, 413, 415))
def lease(service: TheService, request: Annotated[LeaseRequest, Body(openapi_examples=LEASES)]) -> Response:
    """Give a worker trials up to `hold`; its earlier lease ends and its unfinished trials come along."""
    return as_json(service.lease(request), headers=timing(service))


@router.post(
    "/{lease}/reports",
    summary="Report on trials held",
    response_model=ReportAnswer,
    responses=described(404, 409, 413, 415),
)
def report(
    service: TheService, lease: LeaseId, request: Annotated[ReportRequest, Body(openapi_examples=REPORTS)]
) -> Response:
    """Store points and results, renew the lease and top it up; an empty report is the heartbeat."""
    return as_json(service.report(lease, request), headers=timing(service))


@router.delete("/{lease}", summary="End a lease", status_code=204, responses=described(404))
def release(service: TheService, lease: LeaseId) -> None:
    """Give back what it holds; others go on with it."""
    service.release(lease)


def timing(service: TheService) -> dict[str, str]:
    """How much of the answer's time samplers took, in milliseconds (W3C Server Timing)."""
    return {"Server-Timing": f"suggestion;dur={1e3 * service.suggestion_seconds:.3f}"}
