"""The service over a real database, and clients of the application."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # Starlette's test client would rather have httpx2
    from starlette.testclient import TestClient

from lrsearch.api import create_app
from lrsearch.service import Service
from lrsearch.store import Store

LOOPBACK = "http://127.0.0.1:8000"
EXTERNAL: dict[str, Any] = {
    "name": "loop",
    "task": "external",
    "epochs": 3,
    "space": {"family": "step", "initial_lr": [0.1, 0.2, 0.4], "decay_rate": 0.5, "step_size": 1},
    "sampler": "grid",
    "objective": {"metric": "val_loss", "direction": "minimize"},
}


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest tables and nothing in them."""
    path = tmp_path_factory.mktemp("migrated") / "studies.db"
    store = Store(f"sqlite:///{path}")
    store.migrate()
    store.close()
    return path


@pytest.fixture
def service(tmp_path: Path, migrated: Path) -> Iterator[Service]:
    """The whole service on a SQLite file of its own."""
    store = Store(f"sqlite:///{shutil.copy(migrated, tmp_path)}")
    yield Service(store)
    store.close()


@pytest.fixture(scope="session")
def loopback(migrated: Path) -> Iterator[FastAPI]:
    """The application without a token: one for all tests, since its first request takes long."""
    store = Store(f"sqlite:///{migrated}")
    yield create_app(Service(store))
    store.close()


@pytest.fixture
def http(service: Service, loopback: FastAPI) -> Iterator[TestClient]:
    """A client on this machine, of this test's service. What breaks is answered, not raised."""
    loopback.state.service = service
    with TestClient(loopback, base_url=LOOPBACK, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def external() -> dict[str, Any]:
    """A small study trained by somebody's own loop: a grid of three."""
    return EXTERNAL


@pytest.fixture
def train(http: TestClient) -> Callable[..., dict[str, Any]]:
    """Ask for one trial of the external study over HTTP and report it to its end."""

    def train(value: float = 0.5, study: str = "loop") -> dict[str, Any]:
        lease = http.post("/v1/leases", json={"worker": "w", "hold": 1, "study": study}).json()
        given = lease["assignments"][0]
        points = [
            {"epoch": epoch, "metrics": {"val_loss": value + given["until_epoch"] - epoch}}
            for epoch in range(1, given["until_epoch"] + 1)
        ]
        report = {"study": study, "trial": given["trial"], "attempt": given["attempt"], "points": points}
        report["result"] = {"state": "completed"}
        answer = http.post(f"/v1/leases/{lease['lease']}/reports", json={"hold": 0, "reports": [report]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["rejected"] == []
        http.delete(f"/v1/leases/{lease['lease']}")
        return given

    return train
