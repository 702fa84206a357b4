"""``lrsearch serve`` as a process, with everything it stores in this test's folder, and nothing left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lrsearch.client import Client


def wait_until(condition: Callable[[], Any], seconds: float = 150) -> Any:
    """What ``condition`` answers, once it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


class Serving:
    """One ``lrsearch serve`` process."""

    def __init__(self, folder: Path, *options: str, port: int = 0, workers: int = 0, **environment: str) -> None:
        own = {
            "LRSEARCH_DATABASE_URL": f"sqlite:///{folder / 'studies.db'}",
            "LRSEARCH_PREFIXES": str(folder / "prefixes"),
            "PYTHONUNBUFFERED": "1",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LRSEARCH_")}
        command = [sys.executable, "-P", "-m", "lrsearch.cli", "serve", "--port", str(port), "--workers", str(workers)]
        self.errors = (folder / "serve.err").open("ab")
        self.process = subprocess.Popen(
            [*command, "--lease-seconds", "4", *options],
            env=kept | own | environment,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.match(r"Listening on (http://\S+:(\d+))", line)
        assert found, (line, (folder / "serve.err").read_text())
        self.url, self.port = found[1], int(found[2])
        self.family = psutil.Process(self.process.pid)

    def workers(self) -> list[psutil.Process]:
        """The worker processes that are alive."""
        return [child for child in self.family.children() if child.status() != psutil.STATUS_ZOMBIE]

    def end(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def close(self) -> None:
        """Leave nothing behind, whatever the test did."""
        everyone = [*self.family.children(recursive=True), self.family] if self.process.poll() is None else []
        for process in everyone:
            process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()


@pytest.fixture
def until() -> Callable[..., Any]:
    return wait_until


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    started = []

    def start(*options: str, **settings: Any) -> Serving:
        started.append(Serving(tmp_path, *options, **settings))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    monkeypatch.delenv("LRSEARCH_TOKEN", raising=False)
    opened = []

    def connect(url: str, token: str | None = None) -> Client:
        opened.append(Client(url, token, patience=10))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


@pytest.fixture
def slow_study() -> dict[str, Any]:
    """Trials of about a second, fifty intervals each."""
    return {
        "name": "slow",
        "task": "least-squares",
        "updates": 80_000,
        "eval_every": 1_600,
        "space": {"family": "step", "initial_lr": {"low": 1e-3, "high": 0.3, "log": True}},
        "sampler": "random",
        "budget": {"trials": 4},
    }
