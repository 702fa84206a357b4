"""Comparisons, the catalog, health, and what every answer has in common."""

from __future__ import annotations

from typing import Any

import pytest

from lrsearch.exports import TARGETS
from lrsearch.schedules import FAMILIES, WARMUPS
from lrsearch.service import Service
from lrsearch.study import OPTIMIZERS
from lrsearch.tasks.catalog import CATALOG

COMPARISON: dict[str, Any] = {
    "name": "duel",
    "spec": {
        "task": "least-squares",
        "epochs": 2,
        "space": {"family": "step", "initial_lr": [0.1, 0.2], "decay_rate": 0.5, "step_size": 1},
        "budget": {"trials": 2},
    },
    "arms": [{"name": "grid", "sampler": "grid"}, {"name": "random", "sampler": {"name": "random"}}],
    "repeats": 2,
}


def test_range_tests(http) -> None:
    body = {"name": "rates", "task": "digits-mlp", "low": 1e-5}
    created = http.post("/v1/range-tests", json=body)
    assert created.status_code == 201
    assert created.headers["location"] == "/v1/range-tests/rates"
    assert created.json()["spec"]["high"] == 10.0
    assert http.post("/v1/range-tests", json=body).status_code == 200
    assert http.post("/v1/range-tests", json=body | {"low": 1e-4}).status_code == 409
    assert http.post("/v1/range-tests", json=body | {"high": 1e-6}).status_code == 422
    assert http.get("/v1/range-tests/rates").json() == created.json()
    assert http.get("/v1/range-tests").json() == {"items": [created.json()], "next": None}
    assert http.get("/v1/range-tests/nobody").status_code == 404


def test_comparisons(http) -> None:
    created = http.post("/v1/comparisons", json=COMPARISON)
    assert created.status_code == 201, created.text
    assert created.headers["location"] == "/v1/comparisons/duel"
    body = created.json()
    assert body["state"] == "queued"
    assert len(body["studies"]) == 4
    assert body["result"] is None
    assert http.get("/v1/comparisons/duel").json() == body
    assert http.post("/v1/comparisons", json=COMPARISON).status_code == 200
    assert http.post("/v1/comparisons", json=COMPARISON | {"repeats": 3}).status_code == 409
    assert http.get("/v1/comparisons").json() == {"items": [body], "next": None}
    assert http.get("/v1/comparisons/nobody").status_code == 404


def test_the_catalog_lists_every_registry(http) -> None:
    catalog = http.get("/v1/catalog").json()
    names = {kind: [entry["name"] for entry in entries] for kind, entries in catalog.items()}
    assert names["tasks"] == sorted(CATALOG)
    assert names["families"] == list(FAMILIES)
    assert names["warmups"] == list(WARMUPS)
    assert names["optimizers"] == list(OPTIMIZERS)
    assert names["samplers"] == ["grid", "random", "tpe"]
    assert names["pruners"] == ["none", "median", "asha", "hyperband"]
    assert names["exports"] == list(TARGETS)
    for entries in catalog.values():
        assert all(entry["help"] and "\n" not in entry["help"] for entry in entries)
    step = next(family for family in catalog["families"] if family["name"] == "step")
    parameters = {parameter["name"]: parameter for parameter in step["parameters"]}
    assert parameters["decay_rate"]["required"]
    assert parameters["decay_rate"]["values"] == {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    assert parameters["warmup"]["default"] == 0
    assert parameters["warmup"]["values"]["minimum"] == 0
    assert parameters["warmup_shape"]["values"]["enum"] == list(WARMUPS)
    assert all(parameter["help"] for parameter in step["parameters"])


def test_the_catalog_lists_announced_tasks(http) -> None:
    offer = {"name": "my-task", "version": "2", "train_examples": 10, "metrics": {"val_loss": "minimize"}}
    http.post("/v1/leases", json={"worker": "a", "hold": 0, "tasks": [offer]})
    tasks = {task["name"]: task for task in http.get("/v1/catalog").json()["tasks"]}
    assert tasks["my-task"]["version"] == "2"
    assert set(tasks) == {*CATALOG, "my-task"}


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health(http, path: str) -> None:
    answer = http.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_what_is_away_is_503_with_a_time_to_try_again(http, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from lrsearch.errors import Unavailable

    def away() -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(service, "ready", away)
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert http.get("/livez").status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/v1/studies?x=1"])
def test_every_answer_has_an_id_and_the_security_headers(http, path: str) -> None:
    answer = http.get(path, headers={"X-Request-ID": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    other = http.get(path, headers={"X-Request-ID": "a\tb" + "c" * 200})
    assert len(other.headers["x-request-id"]) == 32


def test_no_page_of_another_origin_is_let_in(http) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = http.options("/v1/studies", headers=asked)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers
