"""What each scope opens, and what belongs to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.testclient import TestClient

from lrsearch.api import create_app, keyring
from lrsearch.api.body import StrictRoute
from lrsearch.service import Access, Service
from lrsearch.store import Store
from lrsearch.study import GRANTS, SCOPES, TokenRequest

SHARED = "correct-horse"
PLACES = {"{name}": "loop", "{number}": "0", "{trial}": "0", "{lease}": "nobody", "{token}": "0" * 12}
WORK: dict[str, Any] = {"worker": "w", "hold": 1, "study": "loop"}

As = Callable[..., TestClient]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, As]]:
    """A service that many tokens open, and ``bearing(name, *scopes)``: a client with a token of its own."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('scopes')}/studies.db")
    store.migrate()
    service = Service(store)
    app = create_app(service, Access(token=SHARED, admin_token="first", crew_token="crew"))

    def bearing(name: str | None, *scopes: str) -> TestClient:
        headers = {}
        if scopes:
            text = service.create_token(TokenRequest.read({"name": name, "scopes": scopes})).token
            headers = {"Authorization": f"Bearer {text}"}
        elif name is not None:
            headers = {"Authorization": f"Bearer {name}"}
        return TestClient(app, base_url="http://lr.example", headers=headers, raise_server_exceptions=False)

    yield service, bearing
    store.close()


@pytest.fixture
def bearing(house: tuple[Service, As]) -> As:
    return house[1]


@pytest.fixture
def study(bearing: As, external: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[str]:
    """An external study of ann's, gone afterwards."""
    assert bearing("ann", "write").post("/v1/studies", json=external).status_code == 201
    yield "loop"
    bearing(SHARED).post("/v1/studies/loop/cancel")
    assert bearing(SHARED).delete("/v1/studies/loop").status_code == 204


def _operations(document: dict[str, Any]) -> list[tuple[str, str, set[str]]]:
    found = []
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            scopes = {scope for alternative in call["security"] for scope in alternative["token"]}
            found.append((method, path, scopes))
    return found


@pytest.mark.parametrize("scope", SCOPES)
def test_every_operation_asks_for_the_scope_that_it_names(bearing: As, scope: str, study: str) -> None:
    client = bearing("ann", scope)
    operations = _operations(client.get("/openapi.json").json())
    assert len(operations) > 30
    n_refused = 0
    for method, path, needed in operations:
        filled = path
        for place, value in PLACES.items():
            filled = filled.replace(place, value)
        if (method, path) == ("delete", "/v1/studies/{name}") and "write" in GRANTS[scope]:
            continue
        if path.endswith("/events"):
            filled = filled.replace("loop", "nobody")  # of a living study they do not end
        answer = client.request(method, filled, content=b"{", headers={"Content-Type": "application/json"})
        opens = not needed or bool(needed & GRANTS[scope])
        assert (answer.status_code != 403) == opens, (method, path, answer.text)
        if not opens:
            n_refused += 1
            problem = answer.json()
            assert answer.headers["content-type"] == "application/problem+json"
            assert all(f"`{it}`" in problem["detail"] for it in needed)
    assert (n_refused == 0) == (scope == "admin")


def test_a_route_that_does_not_say_its_scope_cannot_be_made() -> None:
    router = APIRouter(route_class=StrictRoute)
    with pytest.raises(TypeError, match="scopes"):
        router.get("/v1/forgotten")(lambda: None)


CHANGES: list[tuple[str, str, Any]] = [
    ("PATCH", "/v1/studies/loop", {"labels": {"a": "b"}}),
    ("POST", "/v1/studies/loop/trials", {"params": {"initial_lr": 0.2}}),
    ("POST", "/v1/studies/loop/trials/0/cancel", None),
    ("POST", "/v1/studies/loop/pause", None),
    ("POST", "/v1/studies/loop/resume", None),
    ("POST", "/v1/studies/loop/cancel", None),
    ("DELETE", "/v1/studies/loop", None),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[0]} {change[1]}")
def test_what_is_somebody_elses_is_seen_and_not_changed(
    house: tuple[Service, As], bearing: As, study: str, change: tuple[str, str, Any]
) -> None:
    service, _ = house
    lease = bearing("ann", "write").post("/v1/leases", json=WORK).json()["lease"]
    before = service.study("loop"), service.trials("loop"), service.audit().items
    method, path, body = change
    other = bearing("bob", "write")
    assert other.get("/v1/studies/loop").json()["owner"] == "ann"
    answer = other.request(method, path, json=body)
    assert answer.status_code == 403
    assert "`ann`" in answer.json()["detail"]
    after = service.study("loop"), service.trials("loop"), service.audit(name="bob").items
    assert after[1] == before[1]
    assert (after[0].state, after[0].spec) == (before[0].state, before[0].spec)
    assert after[2] == ()
    bearing("ann", "write").delete(f"/v1/leases/{lease}")


def test_changes_by_the_owner_the_admin_and_the_shared_token(bearing: As, study: str) -> None:
    for client in (bearing("ann", "write"), bearing("root", "admin"), bearing(SHARED), bearing("first")):
        assert client.post("/v1/studies/loop/pause").status_code == 200
        assert client.post("/v1/studies/loop/resume").status_code == 200
    assert bearing("crew").post("/v1/studies/loop/pause").status_code == 403


def test_everything_that_is_created_belongs_to_the_tokens_name(bearing: As) -> None:
    client = bearing("eve", "write")
    space = {"family": "step", "initial_lr": {"low": 1e-3, "high": 1.0, "log": True}}
    spec = {"task": "digits-mlp", "epochs": 3, "space": space}
    assert client.post("/v1/studies", json=spec | {"name": "eves"}).json()["owner"] == "eve"
    arms = [{"name": "a", "sampler": "tpe"}, {"name": "b", "sampler": "random"}]
    duel = client.post("/v1/comparisons", json={"name": "duel", "spec": spec, "arms": arms, "repeats": 1}).json()
    assert duel["owner"] == "eve"
    assert {client.get(f"/v1/studies/{name}").json()["owner"] for name in duel["studies"]} == {"eve"}
    assert client.post("/v1/range-tests", json={"name": "range", "task": "digits-mlp"}).json()["owner"] == "eve"
    changed = {(it["verb"], it["resource"]) for it in bearing("first").get("/v1/audit?name=eve").json()["items"]}
    assert changed == {("create", "studies/eves"), ("create", "comparisons/duel"), ("create", "range-tests/range")}
    for name in ("eves", *duel["studies"]):
        assert client.delete(f"/v1/studies/{name}").status_code == 204


def test_write_leases_its_own_external_studies_alone(bearing: As, study: str) -> None:
    assert len(bearing("ann", "write").post("/v1/leases", json=WORK).json()["assignments"]) == 1
    for client, request in [
        (bearing("bob", "write"), WORK),
        (bearing("ann", "write"), WORK | {"study": None}),
        (bearing("ann", "write"), WORK | {"tasks": [{"name": "digits-mlp"}]}),
    ]:
        answer = client.post("/v1/leases", json=request)
        assert answer.status_code == 403
        assert "`worker`" in answer.json()["detail"]
    refused = bearing("bob", "write").post("/v1/leases", json=WORK).json()["detail"]
    assert refused.startswith("study `loop` belongs to `ann`: ")
    assert bearing("gpu", "worker").post("/v1/leases", json=WORK | {"worker": "x"}).status_code == 200


def test_what_takes_a_studys_name_later_is_not_leased_with_it(bearing: As, external: dict[str, Any]) -> None:
    ann, bob = bearing("ann", "write"), bearing("bob", "write")
    ann.post("/v1/studies", json=external)
    lease = ann.post("/v1/leases", json=WORK | {"hold": 0}).json()["lease"]
    assert ann.delete("/v1/studies/loop").status_code == 204
    assert bob.post("/v1/studies", json=external).status_code == 201
    assert ann.post(f"/v1/leases/{lease}/reports", json={"hold": 1}).json()["assignments"] == []
    assert ann.delete(f"/v1/leases/{lease}").status_code == 204
    assert bob.delete("/v1/studies/loop").status_code == 204


def test_a_lease_is_unknown_to_everybody_else(bearing: As, study: str) -> None:
    ann, others = bearing("ann", "write"), [bearing("bob", "write"), bearing("gpu", "worker")]
    given = ann.post("/v1/leases", json=WORK).json()
    path = f"/v1/leases/{given['lease']}"
    report = {"study": "loop", "trial": given["assignments"][0]["trial"], "attempt": 1}
    body = {"hold": 1, "reports": [report | {"points": [{"epoch": 1, "metrics": {"val_loss": 1.0}}]}]}
    for other in others:
        assert other.post(f"{path}/reports", json=body).status_code == 404
        assert other.delete(path).status_code == 404
        assert other.post("/v1/leases", json=WORK | {"study": None}).status_code in (200, 403)  # ann's worker's name
    assert ann.post(f"{path}/reports", json=body).json()["rejected"] == []
    assert bearing("ann", "worker").post(f"{path}/reports", json={}).status_code == 200  # another token of that name
    assert bearing("first").delete(path).status_code == 204


def test_a_token_ends(bearing: As, house: tuple[Service, As], monkeypatch: pytest.MonkeyPatch) -> None:
    admin, service = bearing("root", "admin"), house[0]
    made = admin.post("/v1/tokens", json={"name": "eve", "scopes": ["read", "write", "read"]}).json()
    assert made["scopes"] == ["read", "write"]
    eve = bearing(made["token"])
    assert eve.get("/v1/studies").status_code == 200
    listed = admin.get("/v1/tokens?limit=1").json()["items"][0]
    assert listed["id"] == made["id"]
    assert listed["last_used_at"] is not None
    assert made["token"] not in admin.get("/v1/tokens?limit=1000").text
    assert made["token"][:20] not in admin.get("/v1/tokens?limit=1000").text
    assert admin.delete(f"/v1/tokens/{made['id']}").status_code == 204
    answer = eve.get("/v1/studies")
    assert answer.status_code == 401
    assert made["token"] not in answer.text
    assert admin.delete(f"/v1/tokens/{made['id']}").status_code == 204
    assert admin.delete(f"/v1/tokens/{'0' * 12}").status_code == 404
    verbs = [it["verb"] for it in admin.get(f"/v1/audit?resource=tokens/{made['id']}").json()["items"]]
    assert verbs == ["revoke", "create"]

    monkeypatch.setattr(keyring, "REMEMBERED_SECONDS", 0.0)
    soon = service.create_token(
        TokenRequest(name="eve", scopes=("read",), expires_at=datetime.now(UTC) + timedelta(seconds=0.3))
    )
    brief = bearing(soon.token)
    assert brief.get("/v1/studies").status_code == 200
    while datetime.now(UTC) < soon.expires_at:
        pass
    assert brief.get("/v1/studies").status_code == 401


def test_a_lost_answer_makes_no_second_token(bearing: As) -> None:
    admin, key = bearing("root", "admin"), {"Idempotency-Key": "abc"}
    request = {"name": "zoe", "scopes": ["read"]}
    made = admin.post("/v1/tokens", json=request, headers=key)
    assert made.status_code == 201
    again = admin.post("/v1/tokens", json=request, headers=key)
    assert again.status_code == 409
    assert made.json()["id"] in again.json()["detail"]
    assert made.json()["token"] not in again.text
    assert [it["name"] for it in admin.get("/v1/tokens").json()["items"]].count("zoe") == 1


def test_what_is_stored_opens_nothing(bearing: As, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/studies.db")
    store.migrate()
    text = Service(store).create_token(TokenRequest(name="a", scopes=("admin",)), key="k").token
    store.close()
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert text.split("_", 2)[1].encode() in stored
    assert text.split("_", 2)[2].encode() not in stored


def test_the_first_token_locks_a_house_that_was_open(
    service: Service, monkeypatch: pytest.MonkeyPatch, external: dict[str, Any]
) -> None:
    monkeypatch.setattr(keyring, "REMEMBERED_SECONDS", 0.0)
    app = create_app(service)
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as here:
        assert here.post("/v1/studies", json=external).json()["owner"] == "local"
        assert [it["name"] for it in here.get("/v1/audit").json()["items"]] == ["local"]
        assert {} in here.get("/openapi.json").json()["paths"]["/v1/studies"]["get"]["security"]
        made = here.post("/v1/tokens", json={"name": "local", "scopes": ["admin"]}).json()
        assert here.get("/v1/studies").status_code == 401
        bearer = {"Authorization": f"Bearer {made['token']}"}
        assert {} not in here.get("/openapi.json", headers=bearer).json()["paths"]["/v1/studies"]["get"]["security"]
        service.revoke_token(made["id"])
        assert here.get("/v1/studies", headers=bearer).status_code == 401
        assert here.get("/livez").status_code == 200


def test_where_the_database_is_away_nobody_is_let_in(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/studies.db")  # its tables were never made
    with TestClient(create_app(Service(store)), base_url="http://127.0.0.1", raise_server_exceptions=False) as here:
        answer = here.get("/v1/catalog")
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert here.get("/livez").status_code == 200
    store.close()
