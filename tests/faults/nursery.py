"""Processes forked from one that has imported everything: a start takes no seconds of imports, a kill is a kill."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).parents[2])
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        *(
            "lrsearch.api",
            "lrsearch.client",
            "lrsearch.launch",
            "lrsearch.service",
            "lrsearch.training.trainer",
            "psycopg",
        ),
        *("sqlalchemy.dialects.sqlite", "uvicorn.lifespan.off", "uvicorn.loops.auto", "uvicorn.protocols.http.auto"),
    ]
)


class Child:
    """A process that runs a function of this folder; several threads may look at it.

    Args:
        main: the function; whatever it prints to stderr goes to ``errors``.
        arguments: what it is called with.
        errors: a file that is appended to; None = this process's stderr.
    """

    def __init__(self, main: Callable[..., None], *arguments: Any, errors: Path | None = None) -> None:
        if ROOT not in sys.path:  # where the child finds `main`
            sys.path.append(ROOT)
        self._guard = threading.Lock()
        self._process = CONTEXT.Process(target=_run, args=(main, arguments, errors))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it lives."""
        with self._guard:
            return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Wait for its end; the exit code."""
        multiprocessing.connection.wait([self._process.sentinel], seconds)
        code = self.poll()
        assert code is not None, "it did not end in time"
        return code

    def send(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def end(self, number: int = signal.SIGKILL) -> int:
        """Send it a signal and wait for the end; the exit code."""
        if self.poll() is None:
            self.send(number)
        return self.wait(30)


def _run(main: Callable[..., None], arguments: tuple[Any, ...], errors: Path | None) -> None:
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    if errors is not None:
        with errors.open("ab") as log:
            os.dup2(log.fileno(), sys.stderr.fileno())
    main(*arguments)


def _end_with_the_tests() -> None:
    tests = multiprocessing.parent_process()
    assert tests is not None
    tests.join()
    os._exit(1)
