"""Leases: workers ask for trials, report on them, and give them back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Annotated

from fastapi import APIRouter, Body, Path, Request, Response

from lrsearch.service import Service, caller
from lrsearch.study import ENDED, Lease, LeaseRequest, ReportAnswer, ReportRequest

from .body import StrictRoute
from .examples import LEASES, REPORTS
from .problem import described
from .scopes import needs
from .verbs import TheLanes, TheService, as_json

router = APIRouter(prefix="/v1/leases", tags=["leases"], route_class=StrictRoute)

LeaseId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,100}$", description="The lease's id.")]


@router.post(
    "",
    openapi_extra=needs("worker", "write"),
    summary="Ask for trials to train",
    response_model=Lease,
    responses=described(404, 413, 415),
)
async def lease(
    service: TheService, lanes: TheLanes, request: Annotated[LeaseRequest, Body(openapi_examples=LEASES)]
) -> Response:
    """Give a worker trials up to `hold`; its earlier lease ends and its unfinished trials come along."""
    return await lanes.work(_lease, service, request, caller().name)


@router.post(
    "/{lease}/reports",
    openapi_extra=needs("worker", "write"),
    summary="Report on trials held",
    response_model=ReportAnswer,
    responses=described(404, 409, 413, 415),
)
async def report(
    service: TheService,
    lanes: TheLanes,
    lease: LeaseId,
    request: Annotated[ReportRequest, Body(openapi_examples=REPORTS)],
    connection: Request,
) -> Response:
    """Store points and results, renew the lease and top it up; an empty report is the heartbeat.

    With `wait_seconds` the answer comes as soon as there is something to tell, at the latest after so long; what was
    reported is stored at once. So a worker without work hears of a new study within milliseconds.
    """
    end = time.monotonic() + request.wait_seconds
    loop, rung = asyncio.get_running_loop(), asyncio.Event()
    with service.bell.heard_by(lambda: loop.call_soon_threadsafe(rung.set)):
        while True:
            told, answer = await lanes.work(_look, service, lease, request)
            left = end - time.monotonic()
            if told or left <= 0 or service.bell.closed:
                return answer
            with contextlib.suppress(TimeoutError):  # then one more look: another process may have stored something
                await asyncio.wait_for(rung.wait(), left)
            if await connection.is_disconnected():
                return answer
            rung.clear()
            request = ReportRequest(hold=request.hold)


@router.delete(
    "/{lease}", openapi_extra=needs("worker", "write"), summary="End a lease", status_code=204, responses=described(404)
)
async def release(service: TheService, lanes: TheLanes, lease: LeaseId) -> None:
    """Give back what it holds; others go on with it."""
    await lanes.work(service.release, lease)


def _lease(service: Service, request: LeaseRequest, owner: str) -> Response:
    return as_json(service.lease(request, owner=owner), headers=timing(service))


def _look(service: Service, lease: str, request: ReportRequest) -> tuple[bool, Response]:
    """One report, in one thread: whether its answer tells anything, and the answer."""
    found = service.report(lease, request)
    told = bool(found.assignments or found.directives or found.rejected) or found.study_state in ENDED
    return told, as_json(found, headers=timing(service))


def timing(service: TheService) -> dict[str, str]:
    """How much of the answer's time samplers took, in milliseconds (W3C Server Timing)."""
    return {"Server-Timing": f"suggestion;dur={1e3 * service.suggestion_seconds:.3f}"}
