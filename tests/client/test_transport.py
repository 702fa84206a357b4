"""What the client makes of answers: each one is served by a little server of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lrsearch.client import Client
from lrsearch.errors import Conflict, InvalidInput, LrsearchError, NotAllowed, NotFound, Unavailable
from lrsearch.study import LeaseRequest

PROBLEM = "application/problem+json"


class Script(ThreadingHTTPServer):
    """Answers one request after the other with what it was told to; keeps what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, dict[str, str], bytes] | None] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def tell(self, status: int, body: Any = b"", media_type: str = "application/json", **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, {"Content-Type": media_type, **headers}, raw))

    def tell_problem(self, status: int, detail: str, **headers: str) -> None:
        body = {"type": "x", "title": "x", "status": status, "detail": detail, "errors": [], "request_id": "r-1"}
        self.tell(status, body, PROBLEM, **headers)

    def hang_up(self) -> None:
        self.answers.append(None)


class _Handler(BaseHTTPRequestHandler):
    server: Script
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers), raw))
        answer = self.server.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_PATCH = do_GET  # noqa: N815  # the names that http.server calls

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def script() -> Iterator[Script]:
    """A server that says what it is told to."""
    with Script() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(script: Script) -> Iterator[Client]:
    """A client that is not patient for long."""
    with Client(script.address, "secret-token", patience=3) as client:
        yield client


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidInput), (401, NotAllowed), (403, NotAllowed), (404, NotFound), (405, InvalidInput),
        (409, Conflict), (413, InvalidInput), (415, InvalidInput), (422, InvalidInput), (500, LrsearchError),
    ],
)  # fmt: skip
def test_problems_become_errors(script: Script, client: Client, status: int, error: type[LrsearchError]) -> None:
    script.tell_problem(status, "because of this")
    with pytest.raises(error, match="because of this") as caught:
        client.study("a")
    assert type(caught.value) is error
    assert len(script.asked) == 1
    assert "secret-token" not in str(caught.value)


def test_faults_come_along(script: Script, client: Client) -> None:
    errors = [{"field": "space.initial_lr", "message": "too high"}]
    script.tell(422, {"detail": "too high", "errors": errors}, PROBLEM)
    with pytest.raises(InvalidInput) as caught:
        client.study("a")
    assert [(fault.field, fault.message) for fault in caught.value.faults] == [("space.initial_lr", "too high")]


@pytest.mark.parametrize("body", [b"", b"<html>nginx</html>", b"[]", b"null", b'{"detail": "x", "errors": [1]}'])
def test_answers_of_other_servers_are_named(script: Script, client: Client, body: bytes) -> None:
    script.tell(404, body, "text/html")
    with pytest.raises(NotFound, match="answered 404"):
        client.study("a")
    script.tell(200, body, "text/html")
    with pytest.raises(LrsearchError, match="is it an lrsearch service"):
        client.study("a")
    script.tell(302, body, "text/html", Location="https://login.example")
    with pytest.raises(LrsearchError, match="answered 302"):
        client.study("a")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_is_away_is_asked_again(script: Script, client: Client, status: int) -> None:
    script.tell_problem(status, "away")
    script.hang_up()
    script.tell(200, {"items": [], "next": None})
    assert client.studies().items == ()
    assert len(script.asked) == 3


def test_what_stays_away_is_unavailable(script: Script) -> None:
    with Client(script.address, patience=0) as client:
        script.tell_problem(503, "the database is away")
        with pytest.raises(Unavailable, match="the database is away"):
            client.studies()
    assert len(script.asked) == 1


def test_a_wait_longer_than_our_patience_is_not_waited_for(script: Script, client: Client) -> None:
    script.tell_problem(503, "away", Retry_After="60")
    with pytest.raises(Unavailable, match="away"):
        client.studies()


def test_creating_again_brings_the_same_key(script: Script, client: Client) -> None:
    script.hang_up()
    script.tell_problem(409, "enough")
    spec = {"task": "digits-mlp", "epochs": 3, "space": {"family": "step"}}
    with pytest.raises(Conflict):
        client.create(spec)
    first, second = (headers["Idempotency-Key"] for _, _, headers, _ in script.asked)
    assert first == second
    script.tell_problem(409, "enough")
    with pytest.raises(Conflict):
        client.create(spec)
    assert script.asked[2][2]["Idempotency-Key"] != first


def test_a_delete_whose_answer_was_lost_is_done(script: Script, client: Client) -> None:
    script.hang_up()
    script.tell_problem(404, "there is no study `a`")
    client.delete("a")
    script.tell_problem(404, "there is no study `a`")
    with pytest.raises(NotFound):
        client.delete("a")


def test_what_a_newer_server_adds_is_left_out(script: Script, client: Client) -> None:
    lease = {"lease": "x", "expires_at": "2030-01-01T00:00:00Z", "heartbeat_seconds": 15, "weather": "fine"}
    schedule = {"family": "cosine", "initial_lr": 0.1, "epochs": 3, "colour": "red"}
    lease["assignments"] = [
        {"study": "a", "trial": 0, "attempt": 1, "recipe": {}, "schedule": schedule, "until_epoch": 3, "mood": 1}
    ]
    script.tell(200, lease)
    (assignment,) = client.lease(LeaseRequest(worker="w", hold=1)).assignments
    assert assignment.schedule.initial_lr == 0.1


def test_requests_say_only_what_was_set(script: Script, client: Client) -> None:
    script.tell(200, {"lease": "x", "expires_at": "2030-01-01T00:00:00Z", "heartbeat_seconds": 15})
    client.lease(LeaseRequest(worker="w", hold=1))
    method, path, headers, raw = script.asked[0]
    assert (method, path, json.loads(raw)) == ("POST", "/v1/leases", {"worker": "w", "hold": 1})
    assert headers["Authorization"] == "Bearer secret-token"
    assert headers["Content-Type"] == "application/json"


def test_names_cannot_leave_their_place(script: Script, client: Client) -> None:
    script.tell_problem(404, "no")
    with pytest.raises(NotFound):
        client.study("a/../b?x=1#y")
    assert script.asked[0][1] == "/v1/studies/a%2F..%2Fb%3Fx%3D1%23y"
