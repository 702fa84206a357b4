"""Every call of the application behind its token; and none without, but the two health routes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from lrsearch.api import create_app
from lrsearch.service import Access, Service
from lrsearch.store import Store

HEALTH = {"/livez", "/readyz"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a service that has a token; the client has none."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('auth')}/studies.db")
    store.migrate()
    app = create_app(Service(store), Access(token="correct-horse"))
    with TestClient(app, base_url="http://lr.example", raise_server_exceptions=False) as client:
        yield client
    store.close()


def test_every_call_but_health_needs_the_token(guarded: TestClient) -> None:
    document = guarded.get("/openapi.json", headers={"Authorization": "Bearer correct-horse"}).json()
    calls = [(method, path) for path, methods in document["paths"].items() for method in methods]
    assert len(calls) > 20
    for method, path in [*calls, ("get", "/openapi.json"), ("get", "/nowhere")]:
        filled = path.replace("{name}", "a").replace("{number}", "0").replace("{trial}", "best").replace("{lease}", "x")
        filled = filled.replace("{token}", "0" * 12)
        answer = guarded.request(method, filled)
        if path in HEALTH:
            assert answer.status_code == 200
        else:
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_what_is_wrong_with_a_body_is_not_told_to_strangers(guarded: TestClient) -> None:
    answer = guarded.post("/v1/studies", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 401
    large = guarded.post("/v1/studies", content=b" " * 2_000_000, headers={"Content-Type": "application/json"})
    assert large.status_code == 401


@pytest.mark.parametrize("host", ["lr.example", "10.1.2.3:8000", "localhost"])
def test_the_token_opens_under_any_name(guarded: TestClient, host: str) -> None:
    headers = {"Authorization": "Bearer correct-horse", "Host": host, "X-Forwarded-For": "10.0.0.9"}
    assert guarded.get("/v1/studies", headers=headers).json() == {"items": [], "next": None}


def test_a_forwarded_request_is_refused_where_there_is_no_token(http: TestClient) -> None:
    answer = http.post("/v1/studies", json={}, headers={"X-Forwarded-For": "10.0.0.9"})
    assert answer.status_code == 403
    assert http.get("/livez", headers={"X-Forwarded-For": "10.0.0.9"}).status_code == 200
