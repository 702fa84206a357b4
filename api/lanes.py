"""Lanes: what is measured comes home, and leases are renewed, however many others ask for something."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from .door import OPEN_PATHS
from .problem import problem

THREADS: Mapping[str, int] = MappingProxyType({"work": 16, "rest": 16, "looks": 4})
"""Threads of each lane. Together with the key ring's and the reaper's they are no more than the database's pool has."""
MOST: Mapping[str, int] = MappingProxyType({"work": 2048, "rest": 128})
"""So many requests may be in flight; most of the workers' wait for work and hold no thread."""
WORK = re.compile(r"/v1/leases(/.*)?")
STREAMS = re.compile(r"/v1/studies/[^/]+/events")
RETRY_AFTER_SECONDS = 1
FULL = "the service has as much to do as it takes at once ({most} requests in flight); try again"

P = ParamSpec("P")
Answer = TypeVar("Answer")


class Lanes:
    """The threads that requests are worked on by, a lane each; and how many requests are in flight."""

    def __init__(self) -> None:
        self.in_flight: Counter[str] = Counter(dict.fromkeys(MOST, 0))
        self._limiters = {lane: CapacityLimiter(THREADS[lane]) for lane in ("work", "looks")}

    async def work(self, verb: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """Call ``verb`` in a thread that is kept for leases and reports."""
        return await to_thread.run_sync(partial(verb, *args, **kwargs), limiter=self._limiters["work"])

    async def look(self, verb: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """Call ``verb`` in a thread that is kept for health, metrics and events."""
        return await to_thread.run_sync(partial(verb, *args, **kwargs), limiter=self._limiters["looks"])


class Traffic:
    """Answers 503 where a lane is full. Health is always answered, and event streams have bounds of their own."""

    def __init__(self, app: ASGIApp, *, lanes: Lanes) -> None:
        self.app = app
        self._lanes = lanes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, or answer why not."""
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or path in OPEN_PATHS or STREAMS.fullmatch(path):
            await self.app(scope, receive, send)
            return
        lane, in_flight = "work" if WORK.fullmatch(path) else "rest", self._lanes.in_flight
        if in_flight[lane] >= MOST[lane]:
            said, headers = FULL.format(most=MOST[lane]), {"Retry-After": str(RETRY_AFTER_SECONDS)}
            full = problem(scope["lrsearch.request_id"], HTTPStatus.SERVICE_UNAVAILABLE, said, headers=headers)
            await full(scope, receive, send)
            return
        to_thread.current_default_thread_limiter().total_tokens = THREADS["rest"]  # the framework's own, for all else
        in_flight[lane] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            in_flight[lane] -= 1
