"""Studies: create, list, look, change, pause, resume, cancel, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response

from lrsearch.service import caller
from lrsearch.study import Best, Page, Study, StudyPatch, StudySpec, StudyState

from .body import StrictRoute
from .examples import PATCHES, SPECS
from .problem import described
from .scopes import needs
from .verbs import Cursor, IdempotencyKey, Limit, StudyName, TheService, as_json

router = APIRouter(prefix="/v1/studies", tags=["studies"], route_class=StrictRoute)


@router.post(
    "",
    openapi_extra=needs("write"),
    summary="Create a study",
    status_code=201,
    response_model=Study,
    responses={200: {"model": Study, "description": "It was there already"}, **described(409, 413, 415)},
)
def create_study(
    service: TheService, spec: Annotated[StudySpec, Body(openapi_examples=SPECS)], key: IdempotencyKey = None
) -> Response:
    """Store a study; it starts when a worker that offers its task is free. The same spec again: 200."""
    study, created = service.create(spec, owner=caller().name, key=key)
    return as_json(study, 201 if created else 200, {"Location": f"/v1/studies/{study.name}"})


@router.get(
    "",
    openapi_extra=needs("read"),
    summary="List studies, newest first",
    response_model=Page[Study],
    responses=described(),
)
def list_studies(
    service: TheService,
    state: Annotated[StudyState | None, Query(description="Only studies in this state.")] = None,
    label: Annotated[
        str | None, Query(max_length=4001, description="Only with this label: `key` or `key=value`.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Give one page of studies."""
    return as_json(service.studies(state=state, label=label, limit=limit, cursor=cursor))


@router.get(
    "/{name}",
    openapi_extra=needs("read"),
    summary="A study and where it stands",
    response_model=Study,
    responses=described(404),
)
def get_study(service: TheService, name: StudyName) -> Response:
    """Give its spec with every default, its progress and its best trial."""
    return as_json(service.study(name))


@router.patch(
    "/{name}",
    openapi_extra=needs("write"),
    summary="Change a study's budget or labels",
    responses=described(404, 409, 413, 415),
)
def patch_study(
    service: TheService, name: StudyName, patch: Annotated[StudyPatch, Body(openapi_examples=PATCHES)]
) -> Study:
    """Set absolute values; a finished study with a larger budget goes on."""
    return service.patch(name, patch)


@router.delete(
    "/{name}", openapi_extra=needs("write"), summary="Delete a study", status_code=204, responses=described(404, 409)
)
def delete_study(service: TheService, name: StudyName) -> None:
    """Erase it with its trials and curves; only when it is not running."""
    service.delete(name)


@router.post("/{name}/pause", openapi_extra=needs("write"), summary="Pause a study", responses=described(404, 409))
def pause_study(service: TheService, name: StudyName) -> Study:
    """Hand out nothing new; running trials stop at their next epoch and continue on resume."""
    return service.pause(name)


@router.post(
    "/{name}/resume", openapi_extra=needs("write"), summary="Resume a paused study", responses=described(404, 409)
)
def resume_study(service: TheService, name: StudyName) -> Study:
    """Go on where it stopped."""
    return service.resume(name)


@router.post("/{name}/cancel", openapi_extra=needs("write"), summary="Cancel a study", responses=described(404, 409))
def cancel_study(service: TheService, name: StudyName) -> Study:
    """Stop now; results stay."""
    return service.cancel(name)


@router.get(
    "/{name}/best",
    openapi_extra=needs("read"),
    summary="The best trials",
    tags=["trials"],
    response_model=Page[Best],
    responses=described(404),
)
def get_best(
    service: TheService,
    name: StudyName,
    top: Annotated[int, Query(ge=1, le=1000, description="How many.")] = 5,
) -> Response:
    """Give the confirmed trials first, by confirmed mean, then the others by value, ties to the lower number."""
    return as_json(Page[Best](items=tuple(service.best(name, top))))
