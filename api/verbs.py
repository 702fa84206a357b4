"""What routes have in common: the service behind them, and the shapes of names, numbers, keys and pages."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel

from lrsearch.service import Service
from lrsearch.study import Name, Page, Trial

from .lanes import Lanes

MAX_TRIAL = 2**31 - 1
MOST_TEXTS = 2048
LONGEST_TEXT = 16 * 1024


async def _service(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


async def _lanes(request: Request) -> Lanes:
    lanes = request.app.state.lanes
    assert isinstance(lanes, Lanes)
    return lanes


TheLanes = Annotated[Lanes, Depends(_lanes)]
TheService = Annotated[Service, Depends(_service)]
StudyName = Annotated[Name, Path(description="The study's name.", examples=["digits-step"])]
TrialNumber = Annotated[int, Path(ge=0, le=MAX_TRIAL, description="The trial's number, from 0.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many items.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,255}$",
        description="The same key and request again: the same answer, and one effect.",
    ),
]


class _Texts:
    """The JSON of values that the store keeps parsed: what is the same object is the same text. Thread-safe."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[BaseModel, str]] = {}

    def of(self, model: BaseModel) -> str:
        found = self._known.get(id(model))
        if found is not None and found[0] is model:  # it is held here, so that its id is nobody else's
            return found[1]
        text = model.model_dump_json()
        if len(text) > LONGEST_TEXT:
            return text
        if len(self._known) >= MOST_TEXTS:
            self._known = {}
        self._known[id(model)] = model, text
        return text


_TEXTS = _Texts()


def trials_as_json(page: Page[Trial]) -> Response:
    """A page of trials, of which most have ended and are asked for again and again."""
    items = ",".join(map(_TEXTS.of, page.items))
    return Response(f'{{"items":[{items}],"next":{json.dumps(page.next)}}}', 200, None, "application/json")


def as_json(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The answer without a second validation, for the calls that come most often and those with two statuses."""
    return Response(model.model_dump_json(), status, headers, "application/json")
