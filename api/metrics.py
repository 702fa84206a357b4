"""What Prometheus asks for: requests as they were counted here, and the database's numbers as of the moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from starlette.types import Scope

from lrsearch.errors import LrsearchError
from lrsearch.service import Service

from .body import StrictRoute
from .lanes import STREAMS, Lanes
from .problem import described
from .scopes import needs

if TYPE_CHECKING:
    from .events import Streams

SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30)
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class Metrics:
    """The metrics of one application.

    Args:
        service: whose database and samplers they tell of.
        lanes: whose requests are in flight.
        streams: the open event streams.
    """

    def __init__(self, service: Service, lanes: Lanes, streams: Streams) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second sample for every counter and histogram, which nobody asks for
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "lrsearch_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "lrsearch_request_seconds",
            "How long answers took; event streams left out, reports that wait for work included.",
            ("method", "route"),
            buckets=SECONDS,
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(_Now(service, lanes, streams))

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """One request was answered; it is told by its route, never by its path."""
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        if not STREAMS.fullmatch(route):
            self._seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Now(Collector):
    """Numbers that somebody else keeps, read when they are asked for."""

    def __init__(self, service: Service, lanes: Lanes, streams: Streams) -> None:
        self._service = service
        self._lanes = lanes
        self._streams = streams

    def describe(self) -> Iterable[Metric]:
        """Nothing is read on registering."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Read them; without the database's where that is away."""
        yield _gauge("lrsearch_requests_in_flight", "Requests being answered.", "lane", self._lanes.in_flight)
        yield GaugeMetricFamily("lrsearch_event_streams", "Open event streams.", len(self._streams))
        counts = self._service.counts
        for name, help_ in COUNTED.items():
            yield CounterMetricFamily(f"lrsearch_{name}", help_, counts[name])
        try:
            totals = self._service.totals()
        except LrsearchError:
            yield GaugeMetricFamily("lrsearch_database_up", "Whether the database answers.", 0)
            return
        yield GaugeMetricFamily("lrsearch_database_up", "Whether the database answers.", 1)
        yield _gauge("lrsearch_studies", "Studies by state.", "state", totals.studies)
        yield _gauge("lrsearch_trials", "Trials by state; `queued` is what is drawn and waits.", "state", totals.trials)
        yield _gauge("lrsearch_epochs", "Epochs of all trials that are stored.", "kind", totals.epochs)
        yield GaugeMetricFamily("lrsearch_leases", "Leases that have not ended.", totals.leases)


COUNTED = {
    "leases_given": "Leases given.",
    "leases_expired": "Leases that ended because their worker was silent.",
    "trials_lost": "Attempts that were lost with their worker.",
    "suggestion_seconds": "Seconds that samplers took.",
}
"""What the service counts, since this process began."""


def _gauge(name: str, help_: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=[label])
    for value, number in sorted(values.items()):
        family.add_metric([value], number)
    return family


router = APIRouter(tags=["health"], route_class=StrictRoute)


@router.get(
    "/metrics",
    openapi_extra=needs("read"),
    summary="Metrics, for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text format"}, **described()},
)
async def get_metrics(request: Request) -> Response:
    """Give requests, leases, trials by state, epochs, seconds of samplers, event streams: see docs/operations.md."""
    text: Callable[[], bytes] = request.app.state.metrics.text
    lanes: Lanes = request.app.state.lanes
    return Response(await lanes.look(text), media_type=CONTENT_TYPE_LATEST)
