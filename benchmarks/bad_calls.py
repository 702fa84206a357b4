"""How long the service takes to refuse: every call of the tests' corpus of bad ones, timed alone, again and again.

* *wall*: over loopback, from the first byte sent to the last one heard, on a service of its own (``lrsearch serve``).
* *cpu*: processor seconds of the whole application in this process, its HTTP client's included; no listener.

A call's figure is the least of its times, as whatever else runs only adds to it; the most it may be is 100 ms. How many
are beyond that by their median is told as well.

    python benchmarks/bad_calls.py [--times 5] [--no-record]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from machine import describe, record, spread
from started import server

from lrsearch.api import create_app
from lrsearch.service import Access, Service
from lrsearch.store import Store

sys.path.append(str(Path(__file__).parent.parent))
from tests.api.corpus import Bad, corpus

LOOP = {
    "name": "loop",
    "task": "external",
    "epochs": 3,
    "space": {"family": "step", "initial_lr": [0.1, 0.2, 0.4], "decay_rate": 0.5, "step_size": 1},
    "sampler": "grid",
    "objective": {"metric": "val_loss", "direction": "minimize"},
}
WORKER = {"worker": "a", "hold": 1, "study": "loop"}
MOST = 100.0
"""Milliseconds."""
Times = dict[str, list[float]]


def headers(bad: Bad) -> dict[str, bytes]:
    """As bytes, since some are no ASCII."""
    return {name: value.encode() for name, value in bad.headers.items()}


def check(name: str, bad: Bad, status: int) -> None:
    """SystemExit unless the call was refused as it should be."""
    if status != bad.status:
        raise SystemExit(f"{name}: {status} instead of {bad.status}")


def over_loopback(calls: Iterable[tuple[str, Bad]], times: int) -> Times:
    """Milliseconds of every call, on a connection of its own that is open already."""
    found: Times = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, server(0, "--database", f"sqlite:///{folder}/bench.db") as address:
        httpx.post(f"{address}/v1/studies", json=LOOP).raise_for_status()
        lease = httpx.post(f"{address}/v1/leases", json=WORKER).raise_for_status().json()["lease"]
        for _ in range(times):
            for name, bad in calls:
                connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
                with contextlib.closing(connection):
                    connection.connect()
                    begun = time.perf_counter()
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent
                        connection.request(bad.method, bad.path.replace("LEASE", lease), bad.content, headers(bad))
                    answer = connection.getresponse()
                    answer.read()
                    found[name].append(1e3 * (time.perf_counter() - begun))
                check(name, bad, answer.status)
    return found


async def in_process(calls: Iterable[tuple[str, Bad]], times: int, store: Store) -> Times:
    """Milliseconds of this process's processors that every call takes."""
    found: Times = defaultdict(list)
    app = create_app(Service(store), Access(requests_per_second=None))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000") as client:
        (await client.post("/v1/studies", json=LOOP)).raise_for_status()
        lease = (await client.post("/v1/leases", json=WORKER)).raise_for_status().json()["lease"]
        for _ in range(times):
            for name, bad in calls:
                path = bad.path.replace("LEASE", lease)
                begun = time.process_time()
                answer = await client.request(bad.method, path, content=bad.content, headers=headers(bad))
                found[name].append(1e3 * (time.process_time() - begun))
                check(name, bad, answer.status_code)
    return found


def main() -> None:
    """Measure, print the slowest, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5, help="how often each is called")
    parser.add_argument("--no-record", action="store_true")
    told = parser.parse_args()
    machine = describe("lrsearch", "fastapi", "pydantic", "uvicorn")
    calls = list(corpus())
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/bench.db")
        store.migrate()
        with contextlib.closing(store):
            measured = {"cpu": asyncio.run(in_process(calls, told.times, store))}
    measured["wall"] = over_loopback(calls, told.times)
    least = {kind: {name: min(times) for name, times in of_all.items()} for kind, of_all in measured.items()}
    slowest = sorted(least["wall"], key=lambda name: -least["wall"][name])[:10]
    print(f"{len(calls)} calls, {told.times} times each; milliseconds\n{'the slowest':48}{'wall':>8}{'cpu':>8}")
    for name in slowest:
        print(f"{name:48}{least['wall'][name]:8.1f}{least['cpu'][name]:8.1f}")
    figures: dict[str, Any] = {kind: spread(list(of_all.values())) for kind, of_all in least.items()}
    for kind, figure in figures.items():
        print(kind, figure)
    beyond = sum(time > MOST for time in least["wall"].values())
    by_median = sum(statistics.median(times) > MOST for times in measured["wall"].values())
    print(f"beyond {MOST:g} ms: {beyond}; by their median: {by_median}")
    if not told.no_record:
        kept = {name: {kind: round(least[kind][name], 1) for kind in least} for name in slowest}
        figures |= {"calls": len(calls), "times": told.times, "beyond": beyond, "beyond by median": by_median}
        figures["slowest"] = kept
        print(f"recorded in {record('bad_calls', machine, figures).relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
