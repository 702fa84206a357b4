"""The application: all routes, in their envelope, behind the door."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

import lrsearch
from lrsearch.service import Service

from . import catalog, comparisons, events, health, leases, previews, range_tests, studies, trials, workers
from .door import Door
from .envelope import Envelope
from .openapi import describe
from .problem import answer_errors


def create_app(service: Service, *, token: str | None = None, allowed_hosts: Collection[str] = ()) -> FastAPI:
    """The HTTP service.

    Args:
        service: what answers.
        token: with it set, every call but ``/livez`` and ``/readyz`` needs ``Authorization: Bearer ...``; without it
            only this machine is served.
        allowed_hosts: the ``Host`` names (no port) served besides localhost, 127.0.0.1 and [::1]; needs a token. With
            a token and no names given, every name is served.

    Raises:
        InvalidInput: an empty token, or ``allowed_hosts`` without one.
    """
    app = FastAPI(
        title="lrsearch",
        version=lrsearch.__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.service = service
    app.state.streams = events.Streams()
    for resource in (leases, studies, events, previews, trials, comparisons, range_tests, catalog, workers, health):
        app.include_router(resource.router)
    answer_errors(app)
    describe(app, needs_token=token is not None)
    door: dict[str, Any] = {"token": token, "allowed_hosts": allowed_hosts}
    Door(app, **door)  # middlewares are made at the first request; what is wrong is said now
    app.add_middleware(Door, **door)
    app.add_middleware(Envelope)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
