"""Many simulated workers in one process: they lease, report an epoch now and then, and train nothing."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import Any

import httpx
import psutil
from filled import loss, spec
from machine import spread

STUDY = "swarm"
EPOCHS = 5
EVERY = 10
"""Memory is looked at so many times."""


def simulate(address: str, n_workers: int, minutes: float, epoch_seconds: float) -> dict[str, Any]:
    """Let them work; what they met, and how much memory the service took in between."""
    return asyncio.run(_simulate(address, n_workers, 60 * minutes, epoch_seconds))


async def _simulate(address: str, n_workers: int, seconds: float, epoch_seconds: float) -> dict[str, Any]:
    met: Counter[str] = Counter()
    times: list[float] = []
    limits = httpx.Limits(max_connections=n_workers + 2, max_keepalive_connections=n_workers + 2)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60, trust_env=False) as client:
        body = spec(STUDY, sampler="random", epochs=EPOCHS).model_dump(mode="json", exclude_unset=True)
        (await client.post("/v1/studies", json=body)).raise_for_status()
        end = time.monotonic() + seconds
        workers = [_work(client, f"w{number}", end, epoch_seconds, met=met, times=times) for number in range(n_workers)]
        memory, *_ = await asyncio.gather(_watch(seconds), *workers)
        study = (await client.get(f"/v1/studies/{STUDY}")).json()
    trials = study["progress"]["trials"]
    return {
        "workers": n_workers,
        "minutes": round(seconds / 60, 2),
        "epoch_seconds": epoch_seconds,
        "calls_per_second": round(len(times) / seconds, 1),
        "call_ms": spread(times),
        "trials": trials,
        "epochs": study["progress"]["epochs"],
        "reported": dict(met),
        "lost": met["lost"] + study["progress"]["epochs"]["repeated"] + trials.get("failed", 0),
        "service_mib": memory,
    }


async def _watch(seconds: float) -> list[float]:
    """MiB of the service at the end of every tenth of the time."""
    memory = []
    for _ in range(EVERY):
        await asyncio.sleep(seconds / EVERY)
        below = psutil.Process().children(recursive=True)
        of_service = [process for process in below if process.name() != "postgres"]  # a database is no service
        memory.append(round(sum(process.memory_info().rss for process in of_service) / 2**20, 1))
    return memory


async def _work(
    client: httpx.AsyncClient, name: str, end: float, epoch_seconds: float, *, met: Counter[str], times: list[float]
) -> None:
    """One worker, one trial at a time, until the time is over."""

    async def post(path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The answer, however often it takes; None where the lease is lost, or the time is over."""
        while time.monotonic() < end:
            begun = time.perf_counter()
            met["calls"] += 1
            try:
                answer = await client.post(path, json=body)
            except httpx.TransportError:
                met["no answer"] += 1
            else:
                times.append(1e3 * (time.perf_counter() - begun))
                if answer.status_code == 200:
                    return dict(answer.json())
                if answer.status_code in (404, 409):
                    met["lost"] += 1
                    return None
                met[f"status {answer.status_code}"] += 1
            await asyncio.sleep(random.uniform(0.5, 1.5))
        return None

    await asyncio.sleep(random.random() * epoch_seconds)
    lease: str | None = None
    held: dict[str, Any] | None = None
    unsent: list[dict[str, Any]] = []
    epoch = 0
    while time.monotonic() < end:
        if lease is None:
            answer = await post("/v1/leases", {"worker": name, "hold": 1, "study": STUDY})
            if answer is None:
                continue
            lease, held, epoch, unsent = answer["lease"], (answer["assignments"] or [None])[0], 0, []
        await asyncio.sleep(epoch_seconds * random.uniform(0.5, 1.5))
        report: dict[str, Any] = {"hold": 1, "reports": []}
        if held is not None:
            epoch += 1
            value = loss(**held["params"]) + EPOCHS - epoch
            unsent.append({"epoch": epoch, "metrics": {"val_loss": value, "train_loss": value}})
            its = {"study": STUDY, "trial": held["trial"], "attempt": held["attempt"], "points": unsent}
            report["reports"] = [its | {"result": {"state": "completed"} if epoch == EPOCHS else None}]
        answer = await post(f"/v1/leases/{lease}/reports", report)
        if answer is None:
            lease = None
            continue
        unsent = []
        met["lost"] += len(answer["rejected"])
        if held is None or epoch == EPOCHS or answer["rejected"]:
            held, epoch = (answer["assignments"] or [None])[0], 0
