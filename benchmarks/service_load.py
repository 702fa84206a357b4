"""What the service bears: reads, leases, reports and large studies over HTTP; or many workers at once.

A real server process (``lrsearch serve``) on a database that is filled beforehand with completed trials of an external
TPE study, two epochs each.

    python benchmarks/service_load.py [--database sqlite|postgres|URL]... [--large 100000] [--no-record]
    python benchmarks/service_load.py --workers 50 --minutes 10 [--database ...]

* *reads*: study, best and a page of 50 of 10,000 trials in turn, from 4 connections.
* *top up*: one report that ends 8 TPE trials and brings 8 new ones; the first ask, which rebuilds the sampler, apart.
* *report*: a batch of 64 epochs of one trial.
* *large*: list, best, pages (by number, by value, far behind) of a study of 100,000 trials, from one connection;
  *cold start*: from the command to the first answer of ``/readyz``, Python's imports included.
* *workers*: simulated ones in one asyncio process, one trial of 5 epochs at a time; no lease may be lost, and the
  service's memory is looked at ten times.

``postgres`` starts a server of its own, with its default settings, where Postgres is installed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from calls import Caller, read
from filled import fill, loss, points_of, spec
from machine import describe, record, spread
from started import server
from swarm import simulate

from lrsearch.store import Store

sys.path.append(str(Path(__file__).parent.parent))
from tests.postgres import Missing, programs
from tests.postgres import server as postgres

MIDDLE = 10_000
TARGETS: dict[str, dict[str, float]] = {
    "reads per second": {"sqlite": 200, "postgresql": 300},
    "reads": {"p99": 50},
    "top up at 1000": {"p99": 150},
    "top up at 10000": {"p99": 1000},
    "report of 64 epochs": {"p99": 50},
    "large: list": {"p99": 100},
    "large: best": {"p99": 100},
    "large: page": {"p99": 1000},
    "large: page by value": {"p99": 1000},
    "large: last page": {"p99": 1000},
    "cold start": {"p99": 5000},
}
"""Milliseconds, from performance.md; reads a second at least."""


@contextmanager
def fresh(kind: str) -> Iterator[str]:
    """The URL of an empty database."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'bench.db'}"
    elif kind == "postgres":
        with postgres({"listen_addresses": "", "max_connections": "200"}) as url:
            yield url
    else:
        yield kind


def migrate(url: str) -> None:
    """Make the tables, which a service does by itself on SQLite alone."""
    store = Store(url)
    store.migrate()
    store.close()


def installed() -> list[str]:
    """Postgres, where it is installed."""
    try:
        programs()
    except Missing as reason:
        print(f"{reason}; left out")
        return []
    return ["postgres"]


def swarm(kind: str, n_workers: int, minutes: float, epoch_seconds: float | None) -> tuple[str, dict[str, Any]]:
    """Many simulated workers at once; the database's name, and what they met."""
    with fresh(kind) as url:
        migrate(url)
        with server(0, "--database", url) as address:
            return dialect(url), simulate(address, n_workers, minutes, epoch_seconds or max(2.0, n_workers / 25))


def dialect(url: str) -> str:
    """A database's name."""
    return url.partition(":")[0].partition("+")[0]


def call_times(address: str, method: str, path: str, n: int) -> list[float]:
    """Milliseconds of ``n`` calls, after one that is not counted."""
    with Caller(address) as caller:
        for _ in range(n + 1):
            caller.call(method, path)
        return caller.last(n)


def top_ups(address: str, study: str, n: int) -> tuple[float, list[float]]:
    """Milliseconds of the first ask for 8 trials, and of ``n`` reports that end 8 and are handed 8."""
    with Caller(address) as caller:
        lease = caller.call("POST", "/v1/leases", {"worker": "bench", "hold": 8, "study": study})
        (first,) = caller.last(1)
        held = lease["assignments"]
        for _ in range(n):
            reports = [ended(assignment) for assignment in held]
            path = f"/v1/leases/{lease['lease']}/reports"
            held = caller.call("POST", path, {"hold": 8, "reports": reports})["assignments"]
            if len(held) != 8:
                raise SystemExit(f"{len(held)} trials were handed out instead of 8")
        times = caller.last(n)
        caller.call("DELETE", f"/v1/leases/{lease['lease']}")
        return first, times


def ended(assignment: dict[str, Any], epochs: int = 2) -> dict[str, Any]:
    """A report of a whole trial."""
    points = [
        point.model_dump(mode="json", exclude_unset=True) for point in points_of(loss(**assignment["params"]), epochs)
    ]
    its = {name: assignment[name] for name in ("study", "trial", "attempt")}
    return its | {"points": points, "result": {"state": "completed"}}


def batches(address: str, n: int) -> list[float]:
    """Milliseconds of ``n`` reports of 64 epochs."""
    with Caller(address) as caller:
        caller.call(
            "POST",
            "/v1/studies",
            spec("batches", sampler="random", epochs=64).model_dump(mode="json", exclude_unset=True),
        )
        lease = caller.call("POST", "/v1/leases", {"worker": "batch", "hold": 1, "study": "batches"})
        path = f"/v1/leases/{lease['lease']}/reports"
        held = lease["assignments"]
        times = []
        for _ in range(n):
            report = ended(held[0], epochs=64)
            result = report.pop("result")
            caller.call("POST", path, {"reports": [report]})
            times += caller.last(1)
            held = caller.call("POST", path, {"reports": [report | {"points": [], "result": result}]})["assignments"]
        return times


def ready(address: str) -> None:
    """Returns once the service is ready."""
    with Caller(address) as caller:
        caller.call("GET", "/readyz")


def measure(kind: str, n_large: int, n: int) -> tuple[str, dict[str, Any]]:
    """All of it on one kind of database; its name, and milliseconds."""
    figures: dict[str, Any] = {}
    for n_trials in (1000, MIDDLE):
        with fresh(kind) as url:
            database = dialect(url)
            name = f"full-{n_trials}"
            fill(url, name, n_trials)
            with server(0, "--database", url) as address:
                if n_trials == MIDDLE:
                    path = f"/v1/studies/{name}"
                    paths = [path, f"{path}/best", f"{path}/trials?limit=50"]
                    read(address, paths, 12)
                    times, per_second = read(address, paths, 3 * n)
                    figures |= {"reads": spread(times), "reads per second": round(per_second, 1)}
                    for what, path in zip(("study", "best", "page of 50"), paths, strict=True):
                        figures[f"one reader: {what}"] = spread(call_times(address, "GET", path, n))
                    figures["report of 64 epochs"] = spread(batches(address, n))
                first, times = top_ups(address, name, max(10, n // 4))
                figures |= {f"first ask at {n_trials}": round(first, 1), f"top up at {n_trials}": spread(times)}
    if n_large:
        with fresh(kind) as url:
            begun = time.perf_counter()
            fill(url, "large", n_large)
            figures["filled in seconds"] = round(time.perf_counter() - begun, 1)
            figures |= large(url, n, n_large)
    return database, figures


def large(url: str, n: int, n_trials: int) -> dict[str, Any]:
    """A study of very many trials."""
    starts = []
    figures: dict[str, Any] = {"large": n_trials}
    for _ in range(3):
        begun = time.perf_counter()
        with server(0, "--database", url) as address:
            ready(address)
            starts.append(1e3 * (time.perf_counter() - begun))
            if len(starts) == 3:
                with Caller(address) as caller:
                    far = caller.call("GET", "/v1/studies/large/trials?limit=1000")
                    while far["next"] and far["items"][-1]["number"] < n_trials * 0.9:
                        behind = far["next"]
                        far = caller.call("GET", f"/v1/studies/large/trials?limit=1000&cursor={behind}")
                paths = {
                    "list": "/v1/studies",
                    "study": "/v1/studies/large",
                    "best": "/v1/studies/large/best",
                    "page": "/v1/studies/large/trials?limit=50",
                    "page by value": "/v1/studies/large/trials?limit=50&order=value",
                    "last page": f"/v1/studies/large/trials?limit=50&cursor={behind}",
                }
                for name, path in paths.items():
                    figures[f"large: {name}"] = spread(call_times(address, "GET", path, n))
                first, times = top_ups(address, "large", 2)
                figures |= {"large: first ask": round(first, 1), "large: top up": spread(times)}
    return figures | {"cold start": spread(starts)}


def show(figures: dict[str, Any], database: str) -> None:
    """A table, and what was not reached."""
    columns = ("mean", "median", "p95", "p99", "max")
    print(f"\n{database}; milliseconds\n{'':24}" + "".join(f"{name:>10}" for name in columns))
    for name, figure in figures.items():
        if isinstance(figure, dict) and "median" in figure:
            print(f"{name:24}" + "".join(f"{figure[column]:10.2f}" for column in columns))
        else:
            print(f"{name:24}{figure!s:>10}")
    for name, wanted in TARGETS.items():
        if name not in figures:
            continue
        if "p99" in wanted and figures[name]["p99"] > wanted["p99"]:
            print(f"MISSED {name}: p99 {figures[name]['p99']} ms, wanted <= {wanted['p99']:g}")
        if database in wanted and figures[name] < wanted[database]:
            print(f"MISSED {name}: {figures[name]}, wanted >= {wanted[database]:g}")


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--database", action="append", help="sqlite, postgres, or an empty database's URL; default: both"
    )
    parser.add_argument("--calls", type=int, default=200, help="calls of a kind")
    parser.add_argument("--large", type=int, default=100_000, help="trials of the large study; 0 = none")
    parser.add_argument("--workers", type=int, default=0, help="simulate so many workers instead")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--epoch-seconds", type=float, help="of a simulated worker; default: 2, or 40 ms a worker")
    parser.add_argument("--no-record", action="store_true")
    told = parser.parse_args()
    if 0 < told.large < 3000:
        parser.error("--large is 0, or at least 3000: fewer have no pages far behind")
    machine = describe("lrsearch", "optuna", "sqlalchemy", "fastapi", "pydantic", "uvicorn", "psycopg")
    print(*(f"{name}: {value}" for name, value in machine.items()), sep="\n")
    kinds = told.database or ["sqlite", *installed()]
    for kind in kinds:
        if told.workers:
            database, figures = swarm(kind, told.workers, told.minutes, told.epoch_seconds)
        else:
            database, figures = measure(kind, told.large, told.calls)
        show(figures, database)
        if not told.no_record:
            name = "service_swarm" if told.workers else "service_load"
            path = record(name, machine, {"database": database, **figures})
            print(f"recorded in {path.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
