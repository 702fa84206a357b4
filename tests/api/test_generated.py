"""Every operation, called with what Schemathesis makes of its schema: with a token, with a lesser one, without."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # Starlette's test client would rather have httpx2
    from starlette.testclient import TestClient

from lrsearch.api import create_app
from lrsearch.service import Access, Service
from lrsearch.store import Store
from lrsearch.study import GRANTS, SCOPES, TokenRequest

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
STUDY = "digits-step"  # the name in the schema's examples
EXTERNAL: dict[str, Any] = {
    "name": STUDY,
    "task": "external",
    "epochs": 3,
    "space": {"family": "step", "initial_lr": [0.1, 0.2, 0.4], "decay_rate": 0.5, "step_size": 1},
    "sampler": "grid",
    "objective": {"metric": "val_loss", "direction": "minimize"},
}
N_EXAMPLES = {"fast": 8, "long": 1000}

Operations = list[tuple[str, str, frozenset[str]]]


def _operations(document: dict[str, Any]) -> Operations:
    return [
        (method, path, frozenset(scope for its in call["security"] for scope in its["token"]))
        for path, calls in document["paths"].items()
        for method, call in calls.items()
    ]


def _document() -> dict[str, Any]:
    store = Store("sqlite://")
    document = create_app(Service(store), Access(token="all")).openapi()
    store.close()
    return document


ORDER = ("get", "patch", "post", "delete")
OPERATIONS = sorted(_operations(_document()), key=lambda operation: ORDER.index(operation[0]))
"""Looking first: later there are studies whose events would not end."""


class House(NamedTuple):
    """A service with a study that has ended, and what to bear for which rights."""

    app: FastAPI
    service: Service
    schema: schemathesis.openapi.OpenApiSchema
    bearing: dict[str, dict[str, str]]

    def lesser(self, needed: frozenset[str]) -> list[dict[str, str]]:
        """The tokens of a scope that does not open an operation."""
        return [self.bearing[scope] for scope in SCOPES if not GRANTS[scope] & needed]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[House]:
    """One for all."""
    file = tmp_path_factory.mktemp("generated") / "studies.db"
    shutil.copy(migrated, file)
    store = Store(f"sqlite:///{file}")
    service = Service(store)
    app = create_app(service, Access(token="all"))
    everything = {"Authorization": "Bearer all"}
    with TestClient(app, base_url="http://lr.example", headers=everything) as http:
        assert http.post("/v1/studies", json=EXTERNAL).status_code == 201
        lease = http.post("/v1/leases", json={"worker": "w", "hold": 1, "study": STUDY}).json()
        report = {"study": STUDY, "trial": 0, "attempt": 1, "result": {"state": "completed", "value": 0.5}}
        report["points"] = [{"epoch": 1, "metrics": {"val_loss": 0.7}}]
        path = f"/v1/leases/{lease['lease']}/reports"
        assert http.post(path, json={"hold": 0, "reports": [report]}).json()["rejected"] == []
        assert http.post(f"/v1/studies/{STUDY}/cancel").status_code == 200
    bearing = {
        scope: {"Authorization": f"Bearer {service.create_token(TokenRequest(name='a', scopes=(scope,))).token}"}
        for scope in SCOPES
    }
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=everything)
    yield House(app, service, schema, bearing | {"all": everything})
    store.close()


@pytest.mark.parametrize("form", ["fast", pytest.param("long", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("method", "path", "needed"), OPERATIONS, ids=[f"{method} {path}" for method, path, _ in OPERATIONS]
)
def test_generated_calls_are_answered_as_described(
    house: House, method: str, path: str, needed: frozenset[str], form: str
) -> None:
    @given(case=house.schema[path][method.upper()].as_strategy(), at_home=st.booleans())
    @settings(
        max_examples=N_EXAMPLES[form],
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answers(case: schemathesis.Case, at_home: bool) -> None:
        if at_home and "name" in case.path_parameters:
            case.path_parameters["name"] = STUDY
        if needed:
            _refused(case.call(headers={}), 401)
            for lesser in house.lesser(needed):
                _refused(case.call(headers=lesser), 403)
        answer = case.call_and_validate(headers=house.bearing["all"], checks=CHECKS)
        if answer.status_code >= 400:
            _refused(answer, answer.status_code)

    answers()


def _refused(answer: Any, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == ["application/problem+json"]
    problem = json.loads(answer.content)
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["request_id"]
