"""Worker processes on this machine: started, watched, started again when they die, and ended together."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ..leasing import worker_name
from .machine import deal, gpus

log = logging.getLogger("lrsearch.launch")

RESTART_SECONDS = (0.5, 30.0)
"""How soon a dead worker is started again: at first, and at most."""
HEALTHY_SECONDS = 60.0
"""A worker that lived this long has not failed at its start."""
GRACE_SECONDS = 10.0
"""How long a worker may take to hand its work back."""


@dataclass
class _Place:
    """One worker's place: its name and surroundings, and the process that fills it now."""

    name: str
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    not_before: float = 0.0
    pause: float = field(default=RESTART_SECONDS[0])


class Crew:
    """Worker processes of one server, each in a process group of its own; also a context manager.

    A worker ends by itself when this process does, however it ends: it holds the other end of a pipe.

    Args:
        server: the service's address.
        n_workers: how many, >= 0.
        token: what they bear; travels in the environment, never on a command line.
        tasks: the user's own tasks, ``"my.py:MyTask"``.
        name: what the workers' names begin with.

    Attributes:
        restarts: how often a worker has died.
    """

    def __init__(
        self,
        server: str,
        n_workers: int,
        *,
        token: str | None = None,
        tasks: Sequence[str] = (),
        name: str | None = None,
    ) -> None:
        self.restarts = 0
        prefix = name or worker_name()
        self._command = [sys.executable, "-P", "-m", "lrsearch.cli", "worker", "--leashed", "--server", server]
        for task in tasks:
            self._command += ["--task", task]
        secret = {} if token is None else {"LRSEARCH_TOKEN": token}
        self._places = [
            _Place(f"{prefix}-{number}", dealt | secret) for number, dealt in enumerate(deal(n_workers, gpus()))
        ]

    @property
    def pids(self) -> list[int]:
        """The process ids of the living workers."""
        return [place.process.pid for place in self._places if place.process and place.process.poll() is None]

    def tend(self) -> None:
        """Start what is not there: at first, and after a pause whenever a worker has died."""
        for place in self._places:
            if place.process is not None and (code := place.process.poll()) is not None:
                self._bury(place, code)
            if place.process is None and time.monotonic() >= place.not_before:
                self._start(place)

    def _start(self, place: _Place) -> None:
        place.process = subprocess.Popen(
            [*self._command, "--name", place.name],
            env={**os.environ, **place.environment},
            stdin=subprocess.PIPE,
            process_group=0,
        )
        place.started_at = time.monotonic()

    def _bury(self, place: _Place, code: int) -> None:
        assert place.process is not None
        if place.process.stdin is not None:
            place.process.stdin.close()
        _signal_group(place.process.pid, signal.SIGKILL)  # what it has started is not left behind
        self.restarts += 1
        now = time.monotonic()
        if now - place.started_at > HEALTHY_SECONDS:
            place.pause = RESTART_SECONDS[0]
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        log.warning("worker %s %s; starting it again in %.1f s", place.name, how, place.pause)
        place.process = None
        place.not_before = now + place.pause
        place.pause = min(2 * place.pause, RESTART_SECONDS[1])

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """End all: they hand their work back; whoever takes longer than ``grace_seconds`` is killed."""
        processes = [place.process for place in self._places if place.process is not None]
        for process in processes:
            if process.poll() is None:
                _signal_group(process.pid, signal.SIGTERM)
        end = time.monotonic() + grace_seconds
        for process in processes:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("worker process %d did not end in time and is killed", process.pid)
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        for place in self._places:
            place.process = None

    def __enter__(self) -> Self:
        """Start all."""
        self.tend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all."""
        self.stop()


def _signal_group(leader: int, number: int) -> None:
    """Send a signal to a worker and whatever it has started, also if the worker itself is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
