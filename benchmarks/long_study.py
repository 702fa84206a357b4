"""What a long study under rungs takes of memory: a real service and its worker process, as the study grows.

Most trials of such a study wait at a rung for good, held by their worker and known to the service. Memory is what the
system says that a process has in it (RSS), libraries included.

    python benchmarks/long_study.py [--task least-squares] [--trials 10000] [--no-record]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from machine import describe, record
from started import server

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Memory is looked at when so much of the study has come to a rung or ended."""
ARRIVED = ("waiting", "completed", "pruned", "diverged", "failed")


def spec(task: str, trials: int) -> dict[str, Any]:
    """A study of which nine trials in ten end at a rung."""
    return {
        "name": "long",
        "task": task,
        "epochs": 9,
        "space": {"family": ["step", "cosine"], "initial_lr": {"low": 1e-3, "high": 0.1, "log": True}},
        "sampler": "random",
        "pruner": "asha",
        "budget": {"trials": trials},
    }


def memory() -> dict[str, float]:
    """MiB of the service, and of all its workers."""
    [service] = psutil.Process().children()
    workers = sum(worker.memory_info().rss for worker in service.children(recursive=True))
    return {"service_mib": mib(service.memory_info().rss), "worker_mib": mib(workers)}


def mib(n_bytes: int) -> float:
    """To a tenth."""
    return round(n_bytes / 2**20, 1)


def stored(folder: Path, pattern: str) -> float:
    """MiB of the files there."""
    return mib(sum(file.stat().st_size for file in folder.glob(pattern)))


def states(client: httpx.Client) -> Iterator[dict[str, Any]]:
    """The study twice a second, until it is over."""
    while True:
        study = client.get("/v1/studies/long").raise_for_status().json()
        yield study
        if study["state"] in ("completed", "failed", "cancelled"):
            return
        time.sleep(0.5)


def measure(task: str, trials: int) -> dict[str, Any]:
    """Run the study; memory on the way."""
    with tempfile.TemporaryDirectory() as folder:
        home = {name: f"{folder}/{name}" for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "LRSEARCH_PREFIXES")}
        home["LRSEARCH_DATABASE_URL"] = f"sqlite:///{folder}/studies.db"
        with server(1, home=home) as address, httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
            while not client.get("/v1/workers").json()["items"]:
                time.sleep(0.5)
            looks: list[dict[str, Any]] = []
            client.post("/v1/studies", json=spec(task, trials)).raise_for_status()
            for study in states(client):
                arrived = sum(study["progress"]["trials"].get(state, 0) for state in ARRIVED)
                while len(looks) < len(SHARES) and arrived >= SHARES[len(looks)] * trials:
                    looks.append({"trials": arrived, **memory()})
                    print("{trials:6} trials: service {service_mib} MiB, worker {worker_mib} MiB".format(**looks[-1]))
            return {
                "task": task,
                "looks": looks,
                "states": study["progress"]["trials"],
                "epochs": study["progress"]["epochs"],
                "seconds": study["progress"]["seconds"]["elapsed"],
                "prefixes_mib": stored(Path(home["LRSEARCH_PREFIXES"]), "*"),
                "database_mib": stored(Path(folder), "studies.db*"),
            }


def main() -> None:
    """As the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="least-squares")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--no-record", action="store_true", help="print only")
    options = parser.parse_args()
    machine = describe("torch", "numpy", "pydantic", "sqlalchemy", "fastapi")
    figures = measure(options.task, options.trials)
    print(figures)
    if not options.no_record:
        print(record("long_study", machine, figures))


if __name__ == "__main__":
    main()
