"""Previews: what a spec would be as a study."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response

from lrsearch.study import Preview, StudySpec

from .body import StrictRoute
from .examples import SPECS
from .problem import described
from .scopes import needs
from .verbs import TheService, as_json

router = APIRouter(prefix="/v1/previews", tags=["studies"], route_class=StrictRoute)


@router.post(
    "",
    openapi_extra=needs("read"),
    summary="Look at a study before it is one",
    response_model=Preview,
    responses=described(413, 415),
)
def preview_study(service: TheService, spec: Annotated[StudySpec, Body(openapi_examples=SPECS)]) -> Response:
    """Give its first curves and what all lie between, trials, epochs asked and distinct, warnings; stores nothing."""
    return as_json(service.preview(spec))
