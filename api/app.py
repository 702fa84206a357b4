"""The application: all routes, in their envelope, behind the door."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.routing import APIRoute

import lrsearch
from lrsearch.service import Access, Service

from . import (
    catalog,
    comparisons,
    events,
    health,
    leases,
    metrics,
    previews,
    range_tests,
    studies,
    tokens,
    trials,
    workers,
)
from .door import Door
from .envelope import Envelope
from .keyring import KeyRing
from .lanes import Lanes, Traffic
from .openapi import describe
from .problem import answer_errors


def create_app(service: Service, access: Access | None = None) -> FastAPI:
    """The HTTP service.

    Args:
        service: what answers. As soon as its database holds a token, every call but ``/livez`` and ``/readyz`` needs
            ``Authorization: Bearer ...``; until then only this machine is served.
        access: tokens besides the database's, and what stands before the service.
    """
    access = access or Access()
    keys = KeyRing(service, access)
    app = FastAPI(
        title="lrsearch",
        version=lrsearch.__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.service = service
    app.state.keys = keys
    service.was_away()
    app.state.streams = streams = events.Streams()
    app.state.lanes = lanes = Lanes()
    app.state.metrics = metrics.Metrics(service, lanes, streams)
    resources = (
        leases,
        studies,
        events,
        previews,
        trials,
        comparisons,
        range_tests,
        catalog,
        workers,
        tokens,
        health,
        metrics,
    )
    for resource in resources:
        app.include_router(resource.router)
    answer_errors(app)
    describe(app, keys)
    app.add_middleware(Traffic, lanes=lanes)
    app.add_middleware(Door, keys=keys, access=access)
    app.add_middleware(Envelope, public_url=access.public_url, prefix=access.prefix, metrics=app.state.metrics)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
