"""lrsearch as users start it: a server with worker processes; a study is POSTed, and read when it is completed."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from reference import Reference, cell_name
from rivals import Machine, Outcome
from started import server

from lrsearch.launch.machine import default_workers

POLL_SECONDS = 0.1
START_SECONDS = 60.0
IMPORT_SECONDS = 6.0
"""Workers import what torch leaves to the first optimiser while they are idle; the rivals have it imported too."""


def with_lrsearch(study: Reference, machine: Machine, n_workers: int | None = None) -> Outcome:
    """POST the study to a service with one worker a GPU, else a core; its database, prefixes, calibration are empty."""
    n = n_workers or default_workers()
    with fresh_server(study, n) as address, httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        wait_for_workers(client, n)
        begun = time.perf_counter()
        client.post("/v1/studies", json=study.written).raise_for_status()
        found = finished(client, study.name)
        seconds = time.perf_counter() - begun
        values = {}
        cursor = ""
        while cursor is not None:
            page = client.get(f"/v1/studies/{study.name}/trials?limit=1000{cursor and f'&cursor={cursor}'}").json()
            for trial in page["items"]:
                values[cell_name(trial["params"])] = math.inf if trial["value"] is None else trial["value"]
            cursor = page["next"]
    epochs = found["progress"]["epochs"]
    return Outcome(seconds, values, (epochs["trained"], epochs["repeated"]))


def finished(client: httpx.Client, name: str) -> dict[str, Any]:
    """The study once it is completed."""
    while (found := client.get(f"/v1/studies/{name}").raise_for_status().json())["state"] != "completed":
        if found["state"] in ("failed", "cancelled"):
            raise SystemExit(f"the study {found['state']}: {found['error']}")
        time.sleep(POLL_SECONDS)
    return dict(found)


@contextmanager
def fresh_server(study: Reference, n_workers: int) -> Iterator[str]:
    """A service with ``n_workers`` worker processes in an empty home; its address."""
    with tempfile.TemporaryDirectory() as folder:
        home = {name: str(Path(folder) / name) for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "LRSEARCH_PREFIXES")}
        home["LRSEARCH_DATABASE_URL"] = f"sqlite:///{Path(folder) / 'bench.db'}"
        with server(n_workers, tasks=study.own_tasks, home=home) as address:
            yield address


def wait_for_workers(client: httpx.Client, n: int) -> None:
    """Until every worker has said hello, and has imported what it does after that: start and imports are left out."""
    end = time.monotonic() + START_SECONDS
    while sum(worker["state"] != "gone" for worker in client.get("/v1/workers").json()["items"]) < n:
        if time.monotonic() > end:
            raise SystemExit(f"fewer than {n} workers started within {START_SECONDS:g} s")
        time.sleep(POLL_SECONDS)
    time.sleep(IMPORT_SECONDS)
