"""Trials of a study: list, look, add, cancel; their curves, and their schedules as code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Path, Query, Response
from fastapi.responses import StreamingResponse

from lrsearch.exports import TARGETS
from lrsearch.frozen import MAX_INTEGER, Frozen
from lrsearch.schedules import Rescaling
from lrsearch.study import Diagnosis, Page, Point, Trial, TrialRequest, TrialState
from lrsearch.trial_table import csv_lines

from .body import StrictRoute
from .examples import TRIALS
from .problem import described
from .scopes import needs
from .verbs import Cursor, IdempotencyKey, Limit, StudyName, TheService, TrialNumber, as_json, trials_as_json

router = APIRouter(prefix="/v1/studies/{name}", tags=["trials"], route_class=StrictRoute)


Chosen = Annotated[str, Path(pattern=r"^(best|[0-9]{1,9})$", description="A number, or `best`.", examples=["best"])]


def number_of(trial: str) -> int | None:
    """The number that a path names; None = the best."""
    return None if trial == "best" else int(trial)


PAGE = 500


class TrainingCurve(Frozen):
    """What a trial reported, epoch by epoch."""

    points: tuple[Point, ...]


@router.get(
    "/trials", openapi_extra=needs("read"), summary="List trials", response_model=Page[Trial], responses=described(404)
)
def list_trials(
    service: TheService,
    name: StudyName,
    *,
    state: Annotated[TrialState | None, Query(description="Only trials in this state.")] = None,
    order: Annotated[Literal["number", "value"], Query(description="By number, or the best value first.")] = "number",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Give one page of trials."""
    return trials_as_json(service.trials(name, state=state, order=order, limit=limit, cursor=cursor))


@router.get(
    "/trials.csv",
    openapi_extra=needs("read"),
    summary="All trials as CSV",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}, "description": "A header and one line a trial"}, **described(404)},
)
def get_trials_csv(service: TheService, name: StudyName) -> Response:
    """Give a line a trial: its numbers, its schedule's parameters and its last metrics."""
    lines = csv_lines(lambda: _every(service, name))
    first = next(lines)  # an unknown study is answered before anything is sent
    headers = {"Content-Disposition": f'attachment; filename="{name}-trials.csv"'}

    def content() -> object:
        yield first
        yield from lines

    return StreamingResponse(content(), headers=headers, media_type="text/csv")  # type: ignore[arg-type]  # a generator


def _every(service: TheService, name: str) -> Iterator[Trial]:
    cursor = None
    while True:
        page = service.trials(name, limit=PAGE, cursor=cursor)
        yield from page.items
        cursor = page.next
        if cursor is None:
            return


@router.post(
    "/trials",
    openapi_extra=needs("write"),
    summary="Add a trial",
    status_code=201,
    response_model=Trial,
    responses=described(404, 409, 413, 415),
)
def add_trial(
    service: TheService,
    name: StudyName,
    request: Annotated[TrialRequest, Body(openapi_examples=TRIALS)],
    key: IdempotencyKey = None,
) -> Response:
    """Enqueue `params` or a `schedule`, import one with its `value`, or `retry` a number."""
    trial = service.add_trial(name, request, key=key)
    return as_json(trial, 201, {"Location": f"/v1/studies/{name}/trials/{trial.number}"})


@router.get(
    "/trials/{number}",
    openapi_extra=needs("read"),
    summary="One trial",
    response_model=Trial,
    responses=described(404),
)
def get_trial(service: TheService, name: StudyName, number: TrialNumber) -> Response:
    """Give its state, value, metrics, parameters and schedule."""
    return as_json(service.trial(name, number))


@router.post(
    "/trials/{number}/cancel", openapi_extra=needs("write"), summary="Cancel a trial", responses=described(404, 409)
)
def cancel_trial(service: TheService, name: StudyName, number: TrialNumber) -> Trial:
    """Stop it now; its worker is told at its next report."""
    return service.cancel_trial(name, number)


@router.get(
    "/trials/{number}/curve",
    openapi_extra=needs("read"),
    summary="What a trial reported, epoch by epoch",
    response_model=TrainingCurve,
    responses=described(404),
)
def get_curve(service: TheService, name: StudyName, number: TrialNumber) -> Response:
    """Give its points; null = was not finite, absent = not measured."""
    return as_json(TrainingCurve(points=tuple(service.curve(name, number))))


@router.get(
    "/trials/{trial}/diagnosis",
    openapi_extra=needs("read"),
    summary="What went wrong in a trial",
    responses=described(404),
)
def get_diagnosis(service: TheService, name: StudyName, trial: Chosen) -> Diagnosis:
    """Say in words what its losses, gradients and updates show, with the numbers behind it."""
    return service.diagnosis(name, number_of(trial))


@router.get(
    "/trials/{trial}/checkpoint",
    openapi_extra=needs("read"),
    summary="A trial's weights",
    response_class=Response,
    responses={
        200: {"description": "A safetensors file", "content": {"application/octet-stream": {}}},
        **described(404),
    },
)
def get_checkpoint(service: TheService, name: StudyName, trial: Chosen) -> Response:
    """Give the weights at the end of the trial's first seed, by the names of its model's state dict."""
    content = service.checkpoint(name, number_of(trial))
    headers = {"Content-Disposition": f'attachment; filename="{name}-{trial}.safetensors"'}
    return Response(content, headers=headers, media_type="application/octet-stream")


@router.get(
    "/trials/{trial}/export",
    openapi_extra=needs("read"),
    summary="A trial's schedule as code or data",
    response_class=Response,
    responses={
        200: {
            "description": "As the target writes it",
            "content": {kind: {} for kind in sorted({target.media_type for target in TARGETS.values()})},
        },
        **described(404),
    },
)
def export_trial(
    service: TheService,
    name: StudyName,
    *,
    trial: Chosen,
    target: Annotated[str, Query(max_length=50, description="A target of the catalog.", examples=["torch"])] = "torch",
    updates_per_epoch: Annotated[
        int | None, Query(ge=1, le=MAX_INTEGER, description="Where it differs from the study's, or nobody knows it.")
    ] = None,
    epochs: Annotated[int | None, Query(ge=1, le=MAX_INTEGER, description="Carry it to so many epochs.")] = None,
    updates: Annotated[int | None, Query(ge=1, le=MAX_INTEGER, description="Carry it to so many updates.")] = None,
    batch_size: Annotated[
        int | None, Query(ge=1, le=MAX_INTEGER, description="Carry it to this batch size; the rate follows by `rule`.")
    ] = None,
    from_batch_size: Annotated[
        int | None, Query(ge=1, le=MAX_INTEGER, description="The batch size it was found with, where nobody knows it.")
    ] = None,
    rule: Annotated[Literal["linear", "sqrt"], Query(description="How the rate follows the batch size.")] = "linear",
) -> Response:
    """Write the schedule for a framework, to be pasted into training code; its first comment says what was rescaled."""
    to: Rescaling = {"epochs": epochs, "updates": updates}
    if batch_size is not None:
        to |= {"batch_size": batch_size, "from_batch_size": from_batch_size, "rule": rule}
    export = service.export(name, number_of(trial), target, updates_per_epoch=updates_per_epoch, rescale=to)
    return Response(export.content, media_type=export.media_type)
