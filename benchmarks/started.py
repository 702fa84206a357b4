"""A service as users start it, ``lrsearch serve``, for as long as something is measured."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


@contextmanager
def server(
    n_workers: int, *options: str, tasks: Sequence[str] = (), home: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A service with ``n_workers`` worker processes, on a free port; its address.

    Args:
        n_workers: worker processes, >= 0.
        options: further ones of ``lrsearch serve``.
        tasks: the benchmark's own, as ``--task`` takes them.
        home: environment variables that say where it keeps its things.
    """
    command = [sys.executable, "-m", "lrsearch.cli", "serve", "--port", "0", "--workers", str(n_workers), *options]
    for task in tasks:
        command += ["--task", task]
    quiet = {"LRSEARCH_TOKEN": "", "LRSEARCH_LOG": "quiet", "LRSEARCH_RATE": "0"}
    environment = {**os.environ, **(home or {}), **quiet}
    environment.pop("OMP_NUM_THREADS", None)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if "http://" not in line:
            raise SystemExit(f"the server did not start: {line!r}")
        yield line.split("Listening on ")[1].split()[0]
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
