"""What the service does beside answering goes on, whatever goes wrong in it."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from lrsearch.errors import Unavailable
from lrsearch.launch.serve import _keep
from lrsearch.service import Service, Settings
from lrsearch.store import Store


class Broken(Service):
    """Meets a bug whenever it looks after silent workers."""

    n_looks = 0

    def reap(self) -> None:
        self.n_looks += 1
        raise KeyError("a bug")


def test_a_bug_in_looking_after_silent_workers_ends_no_service(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "lrsearch.launch")
    service = Broken(Store("sqlite://"), Settings(lease_seconds=0.1))

    class Listening:
        @property
        def alive(self) -> bool:
            return service.n_looks < 2

    crew: Any = SimpleNamespace(tend=lambda: None)
    listener: Any = Listening()
    with pytest.raises(Unavailable, match="ended by itself"):
        _keep(service, listener, crew)
    assert service.n_looks == 2
