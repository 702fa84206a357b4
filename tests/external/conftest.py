"""What tests of your own loop have: an external study, here and over HTTP, and a service that comes and goes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrsearch.client import Client
from lrsearch.launch import Listener
from lrsearch.service import Service, Settings

from ..run.conftest import _own_folders, external, service, verbs

__all__ = ["_own_folders", "external", "service", "verbs"]


class Comes:
    """The service on one port, there or away."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._listener = Listener(service, port=0)
        self._listener.start()
        self.url = self._listener.url
        self._port = self._listener.port

    def go(self) -> None:
        self._listener.stop()

    def back(self) -> None:
        self._listener = Listener(self._service, port=self._port)
        self._listener.start()

    def back_after(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self.back)
        timer.start()
        return timer


@pytest.fixture
def comes(service: Service) -> Iterator[Comes]:
    it = Comes(Service(service.store, Settings(lease_seconds=60)))
    yield it
    it.go()


@pytest.fixture
def client(comes: Comes) -> Iterator[Client]:
    with Client(comes.url) as client:
        yield client


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all spools."""
    monkeypatch.setenv("LRSEARCH_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"
