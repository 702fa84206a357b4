"""A study's events over a real connection: streams, the client that takes them up again, and what ends them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from lrsearch.api import events as rules
from lrsearch.api import keyring
from lrsearch.client import Client
from lrsearch.errors import NotFound
from lrsearch.launch import Listener
from lrsearch.service import Service
from lrsearch.study import ProgressEvent, TokenRequest


@pytest.fixture
def listener(service: Service) -> Iterator[Listener]:
    with Listener(service, port=0) as listening:
        yield listening


@pytest.fixture
def client(listener: Listener) -> Iterator[Client]:
    with Client(listener.url) as connected:
        yield connected


@pytest.fixture
def work(client: Client, external: dict[str, Any]) -> Callable[[], None]:
    """Train the external study to its end over HTTP."""

    def train() -> None:
        for trial in client.trials(external["name"]):
            with trial:
                for _ in range(trial.start, trial.epochs):
                    trial.report(val_loss=trial.schedule.initial_lr)

    return train


def test_the_stream_tells_a_study_to_its_end(
    listener: Listener, client: Client, external: dict[str, Any], work: Callable[[], None]
) -> None:
    client.create(external)
    thread = threading.Thread(target=work)
    with httpx.stream("GET", f"{listener.url}/v1/studies/loop/events", timeout=30) as answer:
        assert answer.headers["content-type"].partition(";")[0] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-cache"
        assert "x-request-id" in answer.headers
        thread.start()
        told = [dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
                for block in answer.read().decode().strip().split("\n\n")]  # fmt: skip
    thread.join()
    assert {one["event"] for one in told} == {"study", "trials", "best", "progress"}
    assert json.loads(told[-1]["data"])["state"] == "completed"
    ids = [int(one["id"]) for one in told]
    assert ids == sorted(ids)


def test_the_client_tells_what_the_service_does(
    client: Client, service: Service, external: dict[str, Any], work: Callable[[], None]
) -> None:
    client.create(external)
    work()
    over_http = [event for event in client.events("loop") if not isinstance(event, ProgressEvent)]
    here = [event for event in service.events("loop") if not isinstance(event, ProgressEvent)]
    assert over_http == here
    assert [event.KIND for event in client.events("loop", after="newest")] == ["progress"]
    assert list(client.events("loop", after=here[-1].id)) == []


def test_whoever_has_heard_the_end_is_told_not_to_come_back(
    listener: Listener, client: Client, external: dict[str, Any]
) -> None:
    client.create(external)
    client.cancel("loop")
    last = list(client.events("loop"))[-1].id
    url = f"{listener.url}/v1/studies/loop/events"
    assert httpx.get(url, headers={"Last-Event-ID": str(last)}).status_code == 204
    assert httpx.get(url, headers={"Last-Event-ID": str(last - 1)}).status_code == 200
    assert "event: reset" in httpx.get(url, headers={"Last-Event-ID": str(last + 1)}).text


def test_a_restart_leaves_no_gap(
    service: Service, external: dict[str, Any], work: Callable[[], None], listener: Listener, client: Client
) -> None:
    client.create(external)
    heard: list[Any] = []
    begun = threading.Event()

    def hear() -> None:
        for event in client.events("loop"):
            heard.append(event)
            begun.set()

    thread = threading.Thread(target=hear)
    thread.start()
    assert begun.wait(20)
    port = listener.port
    listener.stop()
    assert thread.is_alive()
    service.pause("loop")
    service.resume("loop")
    with Listener(service, port=port):
        work()
        thread.join(20)
    assert not thread.is_alive()
    stored = [event for event in heard if not isinstance(event, ProgressEvent)]
    assert stored == [event for event in service.events("loop") if not isinstance(event, ProgressEvent)]


def test_streams_end_at_once_when_the_service_does(
    listener: Listener, client: Client, external: dict[str, Any], service: Service
) -> None:
    client.create(external)
    with httpx.stream("GET", f"{listener.url}/v1/studies/loop/events", timeout=30) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("event: ")
        begun = time.monotonic()
        listener.stop()
        list(lines)
    assert time.monotonic() - begun < 4  # a stream that were not told would be cut off after five seconds
    assert not service.bell._listeners


def test_deleting_a_study_ends_its_streams(client: Client, external: dict[str, Any]) -> None:
    client.create(external)
    told = client.events("loop")
    next(told)
    client.delete("loop")
    with pytest.raises(NotFound):
        list(told)
    with pytest.raises(NotFound):
        next(client.events("loop"))


def test_a_stream_ends_with_its_token(
    listener: Listener, client: Client, external: dict[str, Any], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "REMEMBERED_SECONDS", 0.1)
    client.create(external)
    made = client.create_token(TokenRequest(name="eve", scopes=("read",)))  # so that the service knows it is closed
    headers = {"Authorization": f"Bearer {made.token}"}
    url = f"{listener.url}/v1/studies/loop/events"
    with httpx.stream("GET", url, headers=headers, timeout=30) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("event: ")
        service.revoke_token(made.id)
        list(lines)
    assert httpx.get(url, headers=headers).status_code == 401


def test_a_stream_of_nobody_ends_when_the_service_is_closed(
    listener: Listener, client: Client, external: dict[str, Any], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "REMEMBERED_SECONDS", 0.1)
    client.create(external)
    url = f"{listener.url}/v1/studies/loop/events"
    with httpx.stream("GET", url, timeout=30) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("event: ")
        service.create_token(TokenRequest(name="eve", scopes=("read",)))  # as another process on the database may
        list(lines)
    assert httpx.get(url).status_code == 401


def test_open_streams_are_bounded(
    listener: Listener, client: Client, external: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.create(external)
    url = f"{listener.url}/v1/studies/loop/events"
    monkeypatch.setattr(rules, "MOST_STREAMS_EACH", 1)
    with httpx.stream("GET", url, timeout=30) as first:
        assert first.status_code == 200
        refused = httpx.get(url)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        monkeypatch.setattr(rules, "MOST_STREAMS", 1)
        monkeypatch.setattr(rules, "MOST_STREAMS_EACH", 2)
        refused = httpx.get(url)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        next(first.iter_lines())
    client.cancel("loop")
    for _ in range(100):  # the service hears that the first has gone
        if httpx.get(url).status_code == 200:
            return
        time.sleep(0.05)
    pytest.fail("a stream that ended still counts")


@pytest.mark.parametrize("number", ["x", "-1", "1.5", str(2**53)])
def test_ids_are_whole_numbers(http: Any, external: dict[str, Any], number: str) -> None:
    http.post("/v1/studies", json=external)
    assert http.get("/v1/studies/loop/events", headers={"Last-Event-ID": number}).status_code == 422
    assert http.get(f"/v1/studies/loop/events?after={number}").status_code == 422


def test_a_study_that_does_not_exist_is_not_found(http: Any) -> None:
    assert http.get("/v1/studies/none/events").status_code == 404
    assert http.get("/v1/studies/none/events?from=1").status_code == 422
