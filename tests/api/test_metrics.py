from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lrsearch.api import create_app
from lrsearch.service import Access, Service, Settings, totals
from tests.api.conftest import LOOPBACK, TestClient


@pytest.fixture
def http(service: Service) -> Any:
    """A client of an application of this test's own, whose counts begin at zero."""
    with TestClient(create_app(service), base_url=LOOPBACK) as client:
        yield client


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "FRESH_SECONDS", 0)
    monkeypatch.setattr(totals, "FRESH_COSTS", 0)


def read(http: Any) -> dict[tuple[str, ...], float]:
    """Samples by name and labels."""
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route(http: Any, external: dict[str, Any]) -> None:
    http.post("/v1/studies", json=external)
    http.get("/v1/studies/loop")
    http.get("/v1/studies/none")
    http.get("/some/where?token=secret")
    found = read(http)
    assert found["lrsearch_requests_total", "POST", "/v1/studies", "201"] == 1
    assert found["lrsearch_requests_total", "GET", "/v1/studies/{name}", "200"] == 1
    assert found["lrsearch_requests_total", "GET", "/v1/studies/{name}", "404"] == 1
    assert found["lrsearch_requests_total", "GET", "none", "404"] == 1
    assert found["lrsearch_request_seconds_count", "GET", "/v1/studies/{name}"] == 2
    assert not any("secret" in part or "where" in part for key in found for part in key)
    assert found["lrsearch_requests_in_flight", "rest"] == 1  # this very one
    assert not any(name.endswith("_created") for name, *_ in found)


def test_the_database_is_told_of_as_it_is(http: Any, external: dict[str, Any], train: Any) -> None:
    http.post("/v1/studies", json=external)
    train()
    lease = http.post("/v1/leases", json={"worker": "w", "hold": 1, "study": "loop"}).json()
    found = read(http)
    assert found["lrsearch_trials", "completed"] == 1
    assert found["lrsearch_trials", "running"] == 1
    assert found["lrsearch_studies", "running"] == 1
    assert found["lrsearch_epochs", "trained"] == 3
    assert found["lrsearch_epochs", "shared"] == found["lrsearch_epochs", "repeated"] == 0
    assert found["lrsearch_leases",] == 1
    assert found["lrsearch_leases_given_total",] == 2
    assert found["lrsearch_database_up",] == 1
    assert found["lrsearch_event_streams",] == 0
    assert found["lrsearch_suggestion_seconds_total",] >= 0
    http.delete(f"/v1/leases/{lease['lease']}")
    assert read(http)["lrsearch_leases",] == 0


def test_silent_workers_are_counted(service: Service, external: dict[str, Any]) -> None:
    hasty = Service(service.store, Settings(lease_seconds=2))
    with TestClient(create_app(hasty), base_url=LOOPBACK) as http:
        http.post("/v1/studies", json=external)
        http.post("/v1/leases", json={"worker": "w", "hold": 2, "study": "loop"})
        for _ in range(200):
            hasty.reap()
            found = read(http)
            if found["lrsearch_leases_expired_total",]:
                break
            time.sleep(0.05)
    assert found["lrsearch_leases_expired_total",] == 1
    assert found["lrsearch_trials_lost_total",] == 2


def test_metrics_go_on_while_the_database_is_away(http: Any, service: Service) -> None:
    read(http)
    service.store.close()
    Path(str(service.store._engines["read"].url.database)).write_bytes(b"nonsense " * 999)
    found = read(http)
    assert found["lrsearch_database_up",] == 0
    assert ("lrsearch_leases",) not in found
    assert found["lrsearch_requests_total", "GET", "/metrics", "200"] == 1


def test_metrics_need_a_token_that_reads(service: Service) -> None:
    with TestClient(create_app(service, Access(token="s3cret")), base_url=LOOPBACK) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer s3cret"}).status_code == 200
