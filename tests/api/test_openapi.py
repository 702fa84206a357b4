"""The OpenAPI document: true to the service, and examples that are real requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
import schemathesis
from fastapi import FastAPI
from pydantic import TypeAdapter, ValidationError

from lrsearch.api import create_app, examples
from lrsearch.frozen import AtMost, Frozen
from lrsearch.service import Access, Service
from lrsearch.store import Store
from lrsearch.study import (
    ComparisonSpec,
    LeaseRequest,
    ReportRequest,
    StudyPatch,
    StudySpec,
    TokenRequest,
    TrialRequest,
)

TOKEN = {"Authorization": "Bearer schema"}
CALLS = {
    ("post", "/v1/studies"), ("get", "/v1/studies"), ("get", "/v1/studies/{name}"), ("patch", "/v1/studies/{name}"),
    ("delete", "/v1/studies/{name}"), ("post", "/v1/studies/{name}/pause"), ("post", "/v1/studies/{name}/resume"),
    ("post", "/v1/studies/{name}/cancel"), ("get", "/v1/studies/{name}/trials"), ("post", "/v1/studies/{name}/trials"),
    ("get", "/v1/studies/{name}/trials.csv"), ("get", "/v1/studies/{name}/trials/{number}"),
    ("post", "/v1/studies/{name}/trials/{number}/cancel"), ("get", "/v1/studies/{name}/trials/{number}/curve"),
    ("get", "/v1/studies/{name}/trials/{trial}/export"),
    ("get", "/v1/studies/{name}/trials/{trial}/diagnosis"),
    ("get", "/v1/studies/{name}/trials/{trial}/checkpoint"), ("get", "/v1/studies/{name}/best"),
    ("post", "/v1/previews"),
    ("post", "/v1/comparisons"), ("get", "/v1/comparisons"), ("get", "/v1/comparisons/{name}"), ("post", "/v1/leases"),
    ("post", "/v1/range-tests"), ("get", "/v1/range-tests"), ("get", "/v1/range-tests/{name}"),
    ("post", "/v1/leases/{lease}/reports"), ("delete", "/v1/leases/{lease}"), ("get", "/v1/catalog"),
    ("get", "/v1/workers"), ("post", "/v1/tokens"), ("get", "/v1/tokens"), ("delete", "/v1/tokens/{token}"),
    ("get", "/v1/audit"), ("get", "/livez"), ("get", "/readyz"),
    ("get", "/v1/studies/{name}/events"), ("get", "/metrics"),
}  # fmt: skip


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """A service behind a token, that keeps what the tests here tell it."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('openapi')}/studies.db")
    store.migrate()
    yield create_app(Service(store), Access(token="schema"))
    store.close()


@pytest.fixture(scope="module")
def described(app: FastAPI) -> schemathesis.openapi.OpenApiSchema:
    """The document as it is served, as Schemathesis reads it."""
    return schemathesis.openapi.from_asgi("/openapi.json", app, headers=TOKEN)


@pytest.fixture
def document(app: FastAPI, described: schemathesis.openapi.OpenApiSchema) -> dict[str, Any]:
    """The document."""
    return app.openapi()


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
    assert document["paths"]["/livez"]["get"]["security"] == []
    assert document["paths"]["/v1/studies"]["post"]["security"] == [{"token": ["write"]}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    open_here = create_app(service).openapi()
    assert open_here["paths"]["/livez"]["get"]["security"] == []
    assert open_here["paths"]["/v1/leases"]["post"]["security"] == [{}, {"token": ["worker"]}, {"token": ["write"]}]


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
        (examples.TOKENS, TokenRequest),
    ],
)
def test_examples_are_valid(group: dict[str, Any], model: type[Frozen]) -> None:
    for example in group.values():
        model.read(example["value"])


def test_example_specs_are_created(http) -> None:
    for example in examples.SPECS.values():
        assert http.post("/v1/previews", json=example["value"]).status_code == 200
        assert http.post("/v1/studies", json=example["value"]).status_code == 201
    for example in examples.COMPARISONS.values():
        assert http.post("/v1/comparisons", json=example["value"]).status_code == 201


def test_how_many_fields_an_object_may_have_is_told_as_it_is_counted() -> None:
    kind = TypeAdapter(Annotated[dict[str, int], AtMost(2)])
    assert kind.json_schema()["maxProperties"] == 2
    assert kind.validate_python({"a": 1, "b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(ValidationError, match="at most 2 items"):
        kind.validate_python(dict.fromkeys("abc", "no number"))
