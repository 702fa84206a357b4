"""A service that really listens, and can be stopped and started again."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from lrsearch.api import create_app
from lrsearch.client import Client
from lrsearch.service import Access, Service
from lrsearch.store import Store


class Listening:
    """The service on a free loopback port, in a thread."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self.token = token
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.store = Store(self.url)
        self.store.migrate()
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        app = create_app(Service(self.store), Access(token=self.token))
        config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]})
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.store.close()


@pytest.fixture
def listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    """A listening service without a token."""
    monkeypatch.delenv("LRSEARCH_SERVER", raising=False)
    monkeypatch.delenv("LRSEARCH_TOKEN", raising=False)
    server = Listening(f"sqlite:///{tmp_path}/studies.db")
    yield server
    server.stop()


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    """A listening service with a token."""
    monkeypatch.delenv("LRSEARCH_SERVER", raising=False)
    monkeypatch.delenv("LRSEARCH_TOKEN", raising=False)
    server = Listening(f"sqlite:///{tmp_path}/studies.db", token="correct-horse")
    yield server
    server.stop()


@pytest.fixture
def client(listening: Listening) -> Iterator[Client]:
    """A client of the listening service."""
    with Client(listening.address) as client:
        yield client
