"""A study's events over HTTP, taken up again wherever the connection broke off."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Literal

import httpx
from pydantic import ValidationError
from pydantic_core import from_json

from ..errors import LrsearchError
from ..frozen import NEWER
from ..study import EVENTS, AnyEvent
from .transport import Transport


def follow(transport: Transport, path: str, after: int | Literal["newest"] | None) -> Iterator[AnyEvent]:
    """Every event of the stream at ``path``, until the study has ended.

    Raises:
        NotFound: there is no such study, or no longer.
        Unavailable: the service is away for longer than the transport is patient.
    """
    from httpx_sse import EventSource

    headers = {"Accept": "text/event-stream"}
    query = {"after": after}
    while True:
        with transport.stream(path, query=query, headers=headers) as response:
            if response.status_code == HTTPStatus.NO_CONTENT:
                return
            try:
                for sent in EventSource(response).iter_sse():
                    headers["Last-Event-ID"] = sent.id
                    if sent.event in EVENTS:  # a newer service may tell more
                        yield _read(sent.event, sent.id, sent.data)
            except httpx.TransportError:
                continue  # whether the service is away shows when it is asked again


def _read(kind: str, number: str, data: str) -> AnyEvent:
    try:
        fields = {**from_json(data), "id": int(number)}
        return EVENTS[kind].model_validate(fields, context=NEWER)
    except (TypeError, ValueError, ValidationError) as error:
        raise LrsearchError(f"an event of the service is not understood ({kind}: {data:.200})") from error
