"""Processes that are killed: services, workers that write down what they were told, and a line between them."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from lrsearch.client import Client
from lrsearch.study import Point, Report, ReportRequest, Result

from ..postgres import SETTINGS, Missing, Server
from . import asker, host
from .invariants import Watch, lines
from .nursery import CONTEXT, Child

LEASE_SECONDS = 2.0


def until(condition: Callable[[], Any], seconds: float = 150) -> Any:
    """What ``condition`` answers, once it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


class Host:
    """A service on a database, at one port however often it is started. Files that are read-only are so for it, too."""

    def __init__(self, url: str, folder: Path, lease_seconds: float) -> None:
        self._database, self._lease_seconds = url, lease_seconds
        self.errors = folder / f"host-{id(self)}.log"
        self.port = 0
        self.kills = 0
        self.start()

    def start(self) -> None:
        self._hear, say = CONTEXT.Pipe(duplex=False)
        with say:
            self.process = Child(host.main, self._database, self.port, self._lease_seconds, say, errors=self.errors)
        found = re.match(r"Listening on http://\S+:(\d+)", self._hear.recv())
        assert found, self.errors.read_text()
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def end(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait for the end; the exit code."""
        code = self.process.end(number)
        self._hear.close()
        return code

    def restart(self) -> None:
        """Kill it and start it again."""
        self.end()
        self.kills += 1
        self.start()

    def close(self) -> None:
        self.end()
        told = self.errors.read_text()
        assert "Traceback" not in told, told


class Askers:
    """Worker processes and what they wrote down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[Child] = []
        self._guard = threading.Lock()
        self.kills = 0

    def start(self, server: str, study: str = "s", seconds: float = 0.02) -> Child:
        name = f"asker-{len(self._all)}"
        self._all.append(Child(asker.main, server, study, self._folder / f"{name}.jsonl", name, seconds))
        return self._all[-1]

    def kill(self, process: Child) -> None:
        """Kill one, unless it is dead."""
        with self._guard:
            if process.poll() is None:
                process.end()
                self.kills += 1

    def log(self) -> list[dict[str, Any]]:
        """All that was acknowledged."""
        return [entry for entry in self._entries() if "study" in entry]

    def complaints(self) -> list[str]:
        """Why workers dropped what they held."""
        return [entry["lost"] for entry in self._entries() if "lost" in entry]

    def retaken(self) -> dict[int, int]:
        """The attempts, by trial, that began with a lease asked for again, as no answer had come."""
        return {entry["retaken"]: entry["attempt"] for entry in self._entries() if "retaken" in entry}

    def _entries(self) -> list[dict[str, Any]]:
        return [entry for path in sorted(self._folder.glob("asker-*.jsonl")) for entry in lines(path)]

    def finish(self) -> None:
        """Wait for those that live; they must end by themselves, without a complaint."""
        for process in self._all:
            assert process.wait(150) in (0, -signal.SIGKILL)

    def close(self) -> None:
        for process in self._all:
            process.end()


def first_report(client: Client, lease, **fields):
    """A report on all epochs of the first trial held."""
    its = lease.assignments[0]
    points = tuple(Point(epoch=n, metrics={"loss": 1.0 / n}) for n in range(1, 6))
    result = Result(state="completed")
    report = Report(study=its.study, trial=its.trial, attempt=its.attempt, points=points, result=result)
    return client.report(lease.lease, ReportRequest(hold=0, reports=(report,)))


NEW = {"task": "external", "epochs": 2, "space": {"family": "cosine", "initial_lr": 0.1}}
NEW |= {"objective": {"metric": "loss", "direction": "minimize"}}


def refused(url: str, *, fits: int = 0) -> httpx.Response:
    """A write that is refused for now, with a problem that says so; before it, up to ``fits`` may still be taken."""
    for _ in range(fits + 1):
        answer = httpx.post(f"{url}/v1/studies", json=NEW, timeout=30)
        if answer.status_code != 201:
            break
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json"), answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["detail"]
    return answer


def everything_held(watch, there: Client, askers, n: int) -> None:
    askers.finish()
    assert there.study("s").progress.trials == {"completed": n}
    assert not askers.complaints(), "no lease was reaped because of it"
    attempts = {number: row.attempts for (_, number), row in watch.check().items()}
    assert attempts == dict.fromkeys(attempts, 1) | askers.retaken(), "no trial was handed out anew"
    watch.acknowledged(askers.log())


def address(url: str) -> str:
    """A Postgres URL as its driver writes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def cut_off(url: str) -> None:
    """Cut off every connection to a database."""
    statement = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
    )
    with psycopg.connect(address(url), autocommit=True) as connection:
        connection.execute(f"{statement} current_database()".encode())


@pytest.fixture(scope="module")
def server():
    try:
        with Server({**SETTINGS, "autovacuum": "off"}) as started:  # it would write where a test wants no room
            yield started
    except Missing as reason:
        if os.environ.get("CI"):
            pytest.fail(f"{reason}; this must not be skipped here")
        pytest.skip(str(reason))


@pytest.fixture
def askers(tmp_path: Path) -> Iterator[Askers]:
    started = Askers(tmp_path)
    yield started
    started.close()


@pytest.fixture
def hosts(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Host]]:
    started: list[Host] = []

    def start(lease_seconds: float = LEASE_SECONDS) -> Host:
        started.append(Host(database_url, tmp_path, lease_seconds))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def watch(database_url: str) -> Iterator[Watch]:
    looking = Watch(database_url)
    yield looking
    looking.close()


@pytest.fixture
def clients() -> Iterator[Callable[..., Client]]:
    opened = []

    def connect(url: str, patience: float = 30) -> Client:
        opened.append(Client(url, patience=patience))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def external() -> Callable[..., dict[str, Any]]:
    """``external(n)``: a study of a loop's own with a grid of n cells, five epochs each."""

    def make(n: int, **fields: Any) -> dict[str, Any]:
        space = {"family": "cosine", "initial_lr": [0.1 / (k + 1) for k in range(n)]}
        spec = {"name": "s", "task": "external", "epochs": 5, "space": space, "sampler": "grid"}
        return spec | {"objective": {"metric": "loss", "direction": "minimize"}} | fields

    return make
