"""What happens in a study, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException

from lrsearch.errors import LrsearchError
from lrsearch.frozen import MAX_INTEGER
from lrsearch.service import LEAST_SECONDS, LOOK_SECONDS, Follower, caller
from lrsearch.study import AnyEvent, ProgressEvent

from .body import StrictRoute
from .keyring import KeyRing
from .problem import described
from .scopes import needs
from .verbs import StudyName, TheLanes, TheService

MOST_STREAMS = 256
"""So many streams may be open at once."""
MOST_STREAMS_EACH = 64
"""So many of them for one caller."""


class Streams:
    """Counts the open streams; used by the event loop's thread alone."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._open.total()

    @contextmanager
    def one_more(self, caller: str) -> Iterator[None]:
        """Within the block there is one more; HTTPException where that is one too many."""
        if self._open[caller] >= MOST_STREAMS_EACH:
            said = f"one caller follows at most {MOST_STREAMS_EACH} studies at once: end some"
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, said)
        if len(self) >= MOST_STREAMS:
            said = f"{MOST_STREAMS} event streams are open, which is all that this service keeps; try again later"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, said)
        self._open[caller] += 1
        try:
            yield
        finally:
            self._open[caller] -= 1
            self._open += Counter()  # forgets callers without any


class _NothingMore(Exception):
    """The study has ended and everything was told: the browser's EventSource should not come back."""


class EventRoute(StrictRoute):
    """Answers 204 where there is nothing more to tell."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # a coroutine function
        """As the strict route's."""
        handle = super().get_route_handler()

        async def ending(request: Request) -> Response:
            try:
                return await handle(request)
            except _NothingMore:
                return Response(status_code=HTTPStatus.NO_CONTENT)

        return ending


router = APIRouter(prefix="/v1/studies", tags=["studies"], route_class=EventRoute)

EventId = Annotated[
    int | None,
    Header(alias="Last-Event-ID", ge=0, le=MAX_INTEGER, description="The id of the last event that was heard."),
]
After = Annotated[
    Annotated[int, Query(ge=0, le=MAX_INTEGER)] | Literal["newest"] | None,
    Query(description="As `Last-Event-ID`, which goes before; `newest`: only what happens from now on."),
]


class _Following(NamedTuple):
    follower: Follower
    first: list[AnyEvent]


async def _following(
    service: TheService,
    lanes: TheLanes,
    request: Request,
    name: StudyName,
    *,
    last_event_id: EventId = None,
    after: After = None,
) -> AsyncIterator[_Following]:
    """The follower, after its first look, so that what is wrong is answered before a stream begins."""
    who = caller()
    streams: Streams = request.app.state.streams
    with streams.one_more(who.token or who.address or who.name):
        begin = after if last_event_id is None else last_event_id
        follower = Follower(service, name, begin)
        first = await lanes.look(follower.look)
        if follower.over and isinstance(begin, int) and all(isinstance(event, ProgressEvent) for event in first):
            raise _NothingMore
        yield _Following(follower, first)


@router.get(
    "/{name}/events",
    openapi_extra=needs("read"),
    summary="What happens in a study, as it happens",
    response_class=EventSourceResponse,
    responses={204: {"description": "The study has ended, and there is nothing more to tell"}, **described(404, 429)},
)
async def get_events(
    service: TheService, lanes: TheLanes, request: Request, following: Annotated[_Following, Depends(_following)]
) -> AsyncIterator[ServerSentEvent]:
    """Stream server-sent events: `study`, `trials`, `best`, `warning`, `progress`, `reset`, each with JSON as its data.

    The stream ends when the study has ended, or the service. Called again with `Last-Event-ID` it goes on after that
    event, with no gap; where events since then are no longer kept, a `reset` comes first. A comment every 15 seconds
    keeps the connection alive. It ends when the token does. No thread and no database connection is held meanwhile.
    """
    follower, events = following
    keys: KeyRing = request.app.state.keys
    who = caller()
    loop, rung = asyncio.get_running_loop(), asyncio.Event()
    with service.bell.heard_by(lambda: loop.call_soon_threadsafe(rung.set)):
        while True:
            looked = time.monotonic()
            for event in events:
                yield ServerSentEvent(
                    event=event.KIND, id=str(event.id), raw_data=event.model_dump_json(exclude={"id"})
                )
            if follower.caught_up and not follower.over:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(rung.wait(), LOOK_SECONDS)
                if not service.bell.closed:
                    await asyncio.sleep(max(0.0, looked + LEAST_SECONDS - time.monotonic()))
            if follower.over or service.bell.closed:
                return
            rung.clear()
            try:
                if not await keys.lets_in(who):
                    return
                events = await lanes.look(follower.look)
            except LrsearchError:
                return  # deleted, or the database is away: whoever asks again is told
