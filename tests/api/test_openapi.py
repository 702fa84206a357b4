"""The OpenAPI document: true to the service, and examples that are real requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lrsearch.api import create_app, examples
from lrsearch.frozen import Frozen
from lrsearch.service import Service
from lrsearch.store import Store
from lrsearch.study import ComparisonSpec, LeaseRequest, ReportRequest, StudyPatch, StudySpec, TrialRequest

TOKEN = {"Authorization": "Bearer schema"}
CALLS = {
    ("post", "/v1/studies"), ("get", "/v1/studies"), ("get", "/v1/studies/{name}"), ("patch", "/v1/studies/{name}"),
    ("delete", "/v1/studies/{name}"), ("post", "/v1/studies/{name}/pause"), ("post", "/v1/studies/{name}/resume"),
    ("post", "/v1/studies/{name}/cancel"), ("get", "/v1/studies/{name}/trials"), ("post", "/v1/studies/{name}/trials"),
    ("get", "/v1/studies/{name}/trials.csv"), ("get", "/v1/studies/{name}/trials/{number}"),
    ("post", "/v1/studies/{name}/trials/{number}/cancel"), ("get", "/v1/studies/{name}/trials/{number}/curve"),
    ("get", "/v1/studies/{name}/trials/{trial}/export"), ("get", "/v1/studies/{name}/best"),
    ("post", "/v1/comparisons"), ("get", "/v1/comparisons"), ("get", "/v1/comparisons/{name}"), ("post", "/v1/leases"),
    ("post", "/v1/leases/{lease}/reports"), ("delete", "/v1/leases/{lease}"), ("get", "/v1/catalog"),
    ("get", "/v1/workers"), ("get", "/livez"), ("get", "/readyz"),
}  # fmt: skip


@pytest.fixture
def document(http) -> dict[str, Any]:
    """The document as it is served."""
    return http.get("/openapi.json").json()


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, call) for path, calls in document["paths"].items() for method, call in calls.items()]


def test_every_call_of_the_contract_is_there(document: dict[str, Any]) -> None:
    assert {(method, path) for method, path, _ in _operations(document)} == CALLS


def test_every_operation_has_its_words(document: dict[str, Any]) -> None:
    ids = [call["operationId"] for _, _, call in _operations(document)]
    assert len(set(ids)) == len(ids)
    tags = {tag["name"] for tag in document["tags"]}
    for _, path, call in _operations(document):
        assert call["summary"], path
        assert call["description"], path
        assert set(call["tags"]) <= tags, path


def test_every_failure_is_a_problem(document: dict[str, Any]) -> None:
    for _, path, call in _operations(document):
        failures = {status: body for status, body in call["responses"].items() if status >= "400"}
        assert {"422", "500", "503"} <= set(failures)
        for body in failures.values():
            schema = body["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}, path


def test_the_token_is_declared(document: dict[str, Any], service: Service) -> None:
    assert document["security"] == [{}, {"token": []}]
    behind_token = create_app(service, token="secret").openapi()
    assert behind_token["security"] == [{"token": []}]
    assert behind_token["paths"]["/livez"]["get"]["security"] == []
    assert behind_token["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_every_body_has_examples(document: dict[str, Any]) -> None:
    for _, path, call in _operations(document):
        if "requestBody" in call:
            assert call["requestBody"]["content"]["application/json"]["examples"], path


@pytest.mark.parametrize(
    ("group", "model"),
    [
        (examples.SPECS, StudySpec),
        (examples.PATCHES, StudyPatch),
        (examples.TRIALS, TrialRequest),
        (examples.LEASES, LeaseRequest),
        (examples.REPORTS, ReportRequest),
        (examples.COMPARISONS, ComparisonSpec),
    ],
)
def test_examples_are_valid(group: dict[str, Any], model: type[Frozen]) -> None:
    for example in group.values():
        model.read(example["value"])


def test_example_specs_are_created(http) -> None:
    for example in examples.SPECS.values():
        assert http.post("/v1/studies", json=example["value"]).status_code == 201
    for example in examples.COMPARISONS.values():
        assert http.post("/v1/comparisons", json=example["value"]).status_code == 201


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.openapi.OpenApiSchema]:
    """The document as Schemathesis reads it, over a service that keeps what it is told."""
    folder: Path = tmp_path_factory.mktemp("schema")
    store = Store(f"sqlite:///{folder}/studies.db")
    store.migrate()
    app = create_app(Service(store), token="schema")
    yield schemathesis.openapi.from_asgi("/openapi.json", app, headers=TOKEN)
    store.close()


schema = schemathesis.pytest.from_fixture("described")


@schema.parametrize()
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_generated_requests_are_answered_as_described(case: schemathesis.Case) -> None:
    response = case.call(headers=TOKEN)
    case.validate_response(
        response,
        checks=[
            checks.not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )
