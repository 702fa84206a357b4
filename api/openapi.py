"""The OpenAPI document: what the framework derives, with our problems and the token."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from lrsearch.study import SCOPES

from .keyring import KeyRing
from .problem import Problem
from .scopes import SCHEME

SUMMARY = "Hyperparameter search over learning-rate schedules: POST a study, get the best schedule as code."
TAGS = [
    {"name": "studies", "description": "What is searched, and where it stands."},
    {"name": "trials", "description": "One schedule each, and what came of it; the best as code."},
    {"name": "comparisons", "description": "Samplers against each other at equal budget."},
    {"name": "range tests", "description": "Which learning rates are good: short trainings with rising rates."},
    {"name": "leases", "description": "How work travels to workers and results travel back."},
    {"name": "workers", "description": "Who is there, and doing what."},
    {"name": "catalog", "description": "Everything a spec may name."},
    {"name": "tokens", "description": "Who may call, what they may do, and who changed what."},
    {"name": "health", "description": "Whether the service is alive and ready; no token needed."},
]


def describe(app: FastAPI, keys: KeyRing) -> None:
    """Give ``app`` its document, at /openapi.json; where no token is needed, it says so."""
    documents: dict[bool, dict[str, Any]] = {}

    def openapi() -> dict[str, Any]:
        if keys.closed not in documents:
            documents[keys.closed] = _document(app, keys.closed)
        return documents[keys.closed]

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's documented way


def _document(app: FastAPI, needs_token: bool) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, summary=SUMMARY, routes=app.routes, tags=TAGS)
    components = document["components"]
    shape = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"].update(shape.pop("$defs"))
    components["schemas"]["Problem"] = shape
    scopes = "; ".join(f"`{scope}`: {words}" for scope, words in SCOPES.items())
    description = (
        f"A token (LRSEARCH_TOKEN), by `lrsearch token create`. What is listed is the scope it needs. {scopes}."
    )
    components["securitySchemes"] = {SCHEME: {"type": "http", "scheme": "bearer", "description": description}}
    if not needs_token:
        for operation in (operation for path in document["paths"].values() for operation in path.values()):
            if operation["security"]:
                operation["security"] = [{}, *operation["security"]]
    return document
