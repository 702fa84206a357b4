"""The OpenAPI document: what the framework derives, with our problems and the token."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .door import OPEN_PATHS
from .problem import Problem

SUMMARY = "Hyperparameter search over learning-rate schedules: POST a study, get the best schedule as code."
TAGS = [
    {"name": "studies", "description": "What is searched, and where it stands."},
    {"name": "trials", "description": "One schedule each, and what came of it; the best as code."},
    {"name": "comparisons", "description": "Samplers against each other at equal budget."},
    {"name": "range tests", "description": "Which learning rates are good: short trainings with rising rates."},
    {"name": "leases", "description": "How work travels to workers and results travel back."},
    {"name": "workers", "description": "Who is there, and doing what."},
    {"name": "catalog", "description": "Everything a spec may name."},
    {"name": "health", "description": "Whether the service is alive and ready; no token needed."},
]


def describe(app: FastAPI, *, needs_token: bool) -> None:
    """Give ``app`` its document, at /openapi.json."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, needs_token)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's documented way


def _document(app: FastAPI, needs_token: bool) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, summary=SUMMARY, routes=app.routes, tags=TAGS)
    components = document["components"]
    shape = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"].update(shape.pop("$defs"))
    components["schemas"]["Problem"] = shape
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "The service's token (LRSEARCH_TOKEN)."}
    }
    document["security"] = [{"token": []}] if needs_token else [{}, {"token": []}]
    for path in OPEN_PATHS:
        for operation in document["paths"][path].values():
            operation["security"] = []
    return document
