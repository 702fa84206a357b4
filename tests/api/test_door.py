"""Who gets in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from lrsearch.api.door import Door
from lrsearch.api.envelope import Envelope
from lrsearch.api.events import Streams
from lrsearch.api.keyring import KeyRing
from lrsearch.api.lanes import Lanes
from lrsearch.api.metrics import Metrics
from lrsearch.errors import InvalidInput
from lrsearch.service import Access, Service

TOKEN = "correct-horse"
BEARER = {"Authorization": f"Bearer {TOKEN}"}

Ask = Callable[..., TestClient]


async def _answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("inside")


@pytest.fixture
def house(service: Service) -> Ask:
    """A client of a tiny application behind the door."""
    methods = ["GET", "POST", "PATCH", "DELETE"]
    routes = [Route(path, _answer, methods=methods) for path in ("/v1/studies", "/livez", "/readyz", "/openapi.json")]

    def make(*, client: tuple[str, int] = ("127.0.0.1", 50000), base: str = "http://127.0.0.1:8000", **given: Any):
        access = Access(**given)
        door = Door(Starlette(routes=routes), keys=KeyRing(service, access), access=access)
        metrics = Metrics(service, Lanes(), Streams())
        app = Envelope(door, public_url=access.public_url, prefix=access.prefix, metrics=metrics)
        return TestClient(app, base_url=base, client=client)

    return make


def _refused(response, status: int) -> dict[str, object]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    assert TOKEN not in response.text
    return body


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:9", "[::1]", "[::1]:8000", "LocalHost"])
def test_loopback_names_are_served_without_a_token(house: Ask, host: str) -> None:
    assert house().get("/v1/studies", headers={"Host": host}).text == "inside"


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:8000", "192.168.0.2", "", "localhost:x", "::1"]
)
@pytest.mark.parametrize("path", ["/v1/studies", "/livez"])
def test_other_hosts_are_refused_without_a_token(house: Ask, host: str, path: str) -> None:
    _refused(house().get(path, headers={"Host": host}), 403)


def test_other_machines_are_refused_without_a_token(house: Ask) -> None:
    _refused(house(client=("192.168.0.7", 50000)).get("/v1/studies"), 403)
    assert house(client=("192.168.0.7", 50000), token=TOKEN).get("/v1/studies", headers=BEARER).text == "inside"
    assert house(client=("::1", 50000)).get("/v1/studies").text == "inside"


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded",
        "Via",
        "X-Real-IP",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "x-forwarded-host",
        "X-Forwarded-Anything",
    ],
)
def test_forwarded_requests_need_a_token_even_on_loopback(house: Ask, header: str) -> None:
    assert "LRSEARCH_TOKEN" in str(
        _refused(house().get("/v1/studies", headers={header: "for=10.0.0.1"}), 403)["detail"]
    )
    _refused(house(token=TOKEN).get("/v1/studies", headers={header: "for=10.0.0.1"}), 401)
    assert house(token=TOKEN).get("/v1/studies", headers={header: "10.0.0.1", **BEARER}).text == "inside"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        f"Bearer {TOKEN} {TOKEN}",
        "Bearer \xff\xfe",
    ],
)
@pytest.mark.parametrize(
    "path", ["/v1/studies", "/openapi.json", "/nowhere", "/livez/", "//livez", "/v1/livez", "/livez%2F"]
)
def test_with_a_token_everything_needs_it(house: Ask, authorization: str | None, path: str) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    response = house(token=TOKEN).get(path, headers=headers)
    _refused(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_two_authorizations_are_refused(house: Ask) -> None:
    twice = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
    _refused(house(token=TOKEN).get("/v1/studies", headers=twice), 401)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_opens(house: Ask, scheme: str) -> None:
    assert house(token=TOKEN).get("/v1/studies", headers={"Authorization": f"{scheme} {TOKEN}"}).text == "inside"


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_needs_no_token(house: Ask, path: str) -> None:
    assert house(token=TOKEN).get(path, headers={"X-Forwarded-For": "10.0.0.1", "Host": "10.1.1.1"}).text == "inside"


def test_with_a_token_named_hosts_limit_what_is_served(house: Ask) -> None:
    client = house(token=TOKEN, allowed_hosts=["lr.example"])
    for host in ("lr.example", "LR.example:443", "localhost:8000"):
        assert client.get("/v1/studies", headers={"Host": host, **BEARER}).text == "inside"
    _refused(client.get("/v1/studies", headers={"Host": "other.example", **BEARER}), 403)
    assert house(token=TOKEN).get("/v1/studies", headers={"Host": "any.example", **BEARER}).text == "inside"


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:3000",
        "http://localhost:8000",
        "",
        "http://",
        "http://[",
        "http://[x]",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_pages_of_other_origins_do_not_write(house: Ask, origin: str, method: str) -> None:
    _refused(house().request(method, "/v1/studies", headers={"Origin": origin}), 403)
    _refused(house(token=TOKEN).request(method, "/v1/studies", headers={"Origin": origin, **BEARER}), 403)


def test_own_origin_writes_and_reading_asks_no_origin(house: Ask) -> None:
    assert house().post("/v1/studies", headers={"Origin": "http://127.0.0.1:8000"}).text == "inside"
    assert house().get("/v1/studies", headers={"Origin": "http://evil.example"}).text == "inside"
    named = house(token=TOKEN, allowed_hosts=["lr.example"])
    assert named.post("/v1/studies", headers={"Origin": "https://lr.example", **BEARER}).text == "inside"


@pytest.mark.parametrize("length", [str(1024 * 1024 + 1), "9" * 100])
def test_bodies_announced_too_large_are_refused_at_the_door(house: Ask, length: str) -> None:
    _refused(house().post("/v1/studies", headers={"Content-Length": length}), 413)


@pytest.mark.parametrize("token", ["", " ", "two words", "tab\tbed", "naïve"])
def test_unusable_tokens_are_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match="token"):
        Access(token=token)


@pytest.mark.parametrize(
    "before",
    [{"public_url": "https://lr.example"}, {"allowed_hosts": ["lr.example"]}, {"trusted_proxies": ["127.0.0.1"]}],
)
def test_what_stands_behind_a_proxy_needs_a_token_on_loopback_too(house: Ask, before: dict[str, Any]) -> None:
    _refused(house(**before).get("/v1/studies"), 401)
    assert house(**before, token=TOKEN).get("/v1/studies", headers=BEARER).text == "inside"


def test_a_path_before_all_paths_may_be_left_on_or_taken_off(house: Ask) -> None:
    client = house(token=TOKEN, public_url="https://lr.example/lab")
    for path in ("/livez", "/lab/livez"):
        assert client.get(path).text == "inside"
    for path in ("/v1/studies", "/lab/v1/studies"):
        assert client.get(path, headers=BEARER).text == "inside"
        _refused(client.get(path), 401)
    for path in ("/lab/lab/livez", "/labs/livez", "/la/livez"):
        _refused(client.get(path), 401)


def test_encrypted_services_say_so(house: Ask) -> None:
    assert "strict-transport-security" in house(public_url="https://lr.example").get("/livez").headers
    assert "strict-transport-security" not in house(public_url="http://lr.example").get("/livez").headers
    assert "strict-transport-security" not in house().get("/livez").headers


def test_a_token_that_asks_too_often_has_to_wait(house: Ask) -> None:
    client = house(token=TOKEN, admin_token="other", requests_per_second=0.1)
    assert client.get("/v1/studies", headers=BEARER).text == "inside"
    answer = client.get("/v1/studies", headers=BEARER)
    _refused(answer, 429)
    assert 1 <= int(answer.headers["retry-after"]) <= 10
    assert client.get("/v1/studies", headers={"Authorization": "Bearer other"}).text == "inside"
    for _ in range(3):
        assert client.post("/v1/leases/abc/reports", headers=BEARER).status_code == 404  # it came in: no such route
        assert client.delete("/v1/leases/abc", headers=BEARER).status_code == 404
        assert client.get("/livez").text == "inside"


def test_web_sockets_are_closed(house: Ask) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), house().websocket_connect("/v1/studies"):
        pass
