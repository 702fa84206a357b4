"""Databases and prefix stores of this test alone, and the verbs in this process and over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lrsearch.client import Client
from lrsearch.launch import Listener
from lrsearch.service import Service, Settings
from lrsearch.store import Store
from lrsearch.study import StudySpec, read_spec


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRSEARCH_DATABASE_URL", f"sqlite:///{tmp_path / 'own.db'}")
    monkeypatch.setenv("LRSEARCH_PREFIXES", str(tmp_path / "prefixes"))
    monkeypatch.delenv("LRSEARCH_SERVER", raising=False)
    monkeypatch.delenv("LRSEARCH_TOKEN", raising=False)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    store = Store(f"sqlite:///{tmp_path / 'studies.db'}")
    store.migrate()
    yield Service(store, Settings(lease_seconds=4))
    store.close()


@pytest.fixture(params=["here", "http"])
def verbs(request: pytest.FixtureRequest, service: Service) -> Iterator[Service | Client]:
    """The service itself, and a client of it."""
    if request.param == "here":
        yield service
        return
    with Listener(service, port=0) as listener, Client(listener.url) as client:
        yield client


@pytest.fixture
def external() -> Callable[..., StudySpec]:
    """An external study, by default six random cosines of five epochs."""

    def made(**fields: Any) -> StudySpec:
        spec = {
            "name": "own",
            "task": "external",
            "options": {"width": 8},
            "epochs": 5,
            "space": {"family": "cosine", "initial_lr": {"low": 1e-3, "high": 1.0, "log": True}},
            "sampler": "random",
            "objective": {"metric": "val_loss", "direction": "minimize"},
            "budget": {"trials": 6},
        }
        return read_spec(spec | fields)

    return made
