"""Bad specs and bodies: each is answered 4xx with a problem that names the field, and nothing is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lrsearch.service import Service

from .bad_specs import HUGE, KEYS, MEDIA_TYPES, RAW, SPEC, SPECS, TOO_LONG, WIDE


def _problem(response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"].startswith("urn:lrsearch:problem:")
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    return body


def _post(http, raw: bytes, path: str = "/v1/studies", media_type: str = "application/json"):
    return http.post(path, content=raw, headers={"Content-Type": media_type})


def _nothing_stored(service: Service) -> None:
    assert service.studies().items == ()
    assert service.comparisons().items == ()


@pytest.mark.parametrize("case", SPECS)
def test_a_bad_spec_is_refused(http, service: Service, case: str) -> None:
    sent, field, word = SPECS[case]
    problem = _problem(_post(http, json.dumps(sent).encode()), 422)
    fields = [error["field"] for error in problem["errors"]]
    assert any(name == field or name.startswith(f"{field}.") for name in fields), problem["errors"]
    assert word in problem["detail"]
    _nothing_stored(service)


@pytest.mark.parametrize("case", RAW)
@pytest.mark.parametrize("path", ["/v1/studies", "/v1/leases", "/v1/comparisons"])
def test_bad_json_is_refused(http, service: Service, case: str, path: str) -> None:
    raw, word = RAW[case]
    assert word in _problem(_post(http, raw, path), 422)["detail"]
    _nothing_stored(service)
    assert service.workers() == []


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_other_media_types_are_refused(http, service: Service, media_type: str) -> None:
    _problem(_post(http, json.dumps(SPEC).encode(), media_type=media_type), 415)
    _nothing_stored(service)


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_taken(http, media_type: str) -> None:
    assert _post(http, json.dumps(SPEC).encode(), media_type=media_type).status_code == 201


def test_too_large_a_body_is_refused(http, service: Service) -> None:
    assert len(TOO_LONG) > 1024 * 1024
    _problem(_post(http, TOO_LONG), 413)
    _nothing_stored(service)


def test_too_large_a_body_is_refused_as_it_comes(http, service: Service) -> None:
    chunks = (b" " * 65536 for _ in range(17))
    response = http.post("/v1/studies", content=chunks, headers={"Content-Type": "application/json"})
    assert "content-length" not in response.request.headers
    _problem(response, 413)
    _nothing_stored(service)


@pytest.mark.parametrize("case", WIDE)
def test_many_mistakes_are_told_as_few(http, service: Service, case: str) -> None:
    """Nobody is kept busy by going through all of them."""
    path, body, word = WIDE[case]
    raw = json.dumps(body()).encode()
    assert 600_000 < len(raw) < 1024 * 1024
    problem = _problem(_post(http, raw, path), 422)
    assert word in problem["detail"]
    assert len(problem["errors"]) <= 100
    assert len(problem["detail"]) < 10_000
    _nothing_stored(service)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("path", ["/v1/studies", "/v1/comparisons", "/v1/studies/loop/trials"])
def test_bad_keys_are_refused(http, service: Service, key: str, path: str) -> None:
    response = http.post(path, json=SPEC, headers={"Idempotency-Key": key.encode()})
    assert "Idempotency-Key" in str(_problem(response, 422)["errors"])
    _nothing_stored(service)


def test_a_grid_of_10_to_the_12_is_refused_at_once(http, service: Service) -> None:
    problem = _problem(http.post("/v1/studies", json=HUGE), 422)
    assert "budget" in problem["detail"]
    _nothing_stored(service)


def test_a_grid_of_10_to_the_12_with_a_budget_is_taken(http) -> None:
    study = http.post("/v1/studies", json=HUGE | {"budget": {"trials": 2}})
    assert study.status_code == 201, study.text
    lease = http.post("/v1/leases", json={"worker": "a", "hold": 2, "study": "bad"})
    assert len(lease.json()["assignments"]) == 2


def test_failures_are_problems_without_their_secrets(http, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode() -> None:
        raise RuntimeError("postgresql://user:secret@host/db")

    monkeypatch.setattr(service, "workers", explode)
    response = http.get("/v1/workers")
    _problem(response, 500)
    assert "secret" not in response.text
