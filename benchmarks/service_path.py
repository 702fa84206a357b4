"""What the service costs a trial: TPE on least-squares through the HTTP path, suggestions counted apart.

A real server process (``lrsearch serve``) and one client, which reports as a worker does: what it holds is trained side
by side and ends together, so one call brings the points and results of all of it, and the answer hands out as many
again. TPE has 8 trials in flight unless told otherwise; ``--hold 1`` is the worst case, one call a trial. The client
trains nothing: a trial's value is worked out from its schedule beforehand, by the task's own recursion, and is not part
of any figure.

* *call*: the client's wall time of one report, answer included, over the trials it brought.
* *heartbeat*: the same call with nothing in it, for comparison: HTTP, JSON, a transaction.
* *suggestion*: what of it the sampler took, as the answer's ``Server-Timing`` says, over the same trials.
* *service*: call less suggestion.

    python benchmarks/service_path.py [--trials 1000] [--hold 8] [--database URL] [--no-record]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from machine import describe, record, spread
from pydantic import BaseModel
from started import server

from lrsearch.schedules import Schedule
from lrsearch.store import Store
from lrsearch.study import Assignment, Lease, LeaseRequest, Point, Report, ReportAnswer, ReportRequest, Result
from lrsearch.tasks.least_squares import LeastSquares
from lrsearch.trajectory import n_intervals

EVAL_EVERY = 20
TARGETS = {"service": 5.0, "suggestion": 15.0}
"""Milliseconds a trial."""
SPEC = {
    "name": "service-path",
    "task": "least-squares",
    "updates": 200,
    "eval_every": EVAL_EVERY,
    "space": {
        "family": ["step", "cosine"],
        "initial_lr": {"low": 0.01, "high": 4.0, "log": True},
        "warmup": {"low": 0, "high": "20%"},
    },
    "sampler": {"name": "tpe", "seed": 0, "parallel": 8},
}


def losses(schedule: Schedule) -> list[float | None]:
    """The loss after every reporting interval, by the task's recursion; None from where it diverged."""
    eigenvalues = LeastSquares().eigenvalues()
    noise = 1 / 8 - 1 / LeastSquares.train_examples
    p = np.ones_like(eigenvalues)
    found: list[float | None] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for update, rate in enumerate(schedule.lr_table(), 1):
            p = (1 - rate * eigenvalues) ** 2 * p + rate**2 * noise * eigenvalues * (eigenvalues * p).sum()
            if update % EVAL_EVERY == 0:
                loss = float((eigenvalues * p).sum()) / 2
                found.append(loss if loss < 1e6 else None)
    return found


def report_of(assignment: Assignment) -> Report:
    """Everything a trained trial reports, in one."""
    values = losses(assignment.schedule)
    bad = values.index(None) + 1 if None in values else None
    points = tuple(
        Point(update=epoch * EVAL_EVERY, lr_first=0.1, lr_last=0.1, seconds=1e-3, metrics={"val_loss": value})
        for epoch, value in enumerate(values[:bad], 1)
    )
    assert bad or len(points) == n_intervals(assignment.schedule, None)
    return Report(
        study=assignment.study,
        trial=assignment.trial,
        attempt=assignment.attempt,
        points=points,
        result=Result(state="diverged" if bad else "completed"),
    )


def drive(client: httpx.Client, n_trials: int, hold: int) -> dict[str, list[float]]:
    """Milliseconds a trial of every report and its suggestions, and of a heartbeat before every tenth report."""

    def post(path: str, body: BaseModel) -> tuple[bytes, float, float]:
        text = body.model_dump_json(exclude_unset=True)
        begun = time.perf_counter()
        answer = client.post(path, content=text, headers={"content-type": "application/json"})
        milliseconds = 1e3 * (time.perf_counter() - begun)
        answer.raise_for_status()
        return answer.content, milliseconds, float(answer.headers.get("server-timing", "=0").rpartition("=")[2])

    content, _, _ = post("/v1/leases", LeaseRequest(worker="bench", hold=hold, study=SPEC["name"]))
    lease = Lease.model_validate_json(content)
    path = f"/v1/leases/{lease.lease}/reports"
    held = lease.assignments
    times: dict[str, list[float]] = {"call": [], "suggestion": [], "heartbeat": []}
    done = 0
    while held:
        if len(times["call"]) % 10 == 0:
            times["heartbeat"].append(post(path, ReportRequest())[1])
        content, call, suggestion = post(path, ReportRequest(hold=hold, reports=tuple(map(report_of, held))))
        times["call"].append(call / len(held))
        times["suggestion"].append(suggestion / len(held))
        done += len(held)
        answer = ReportAnswer.model_validate_json(content)
        if answer.rejected:
            raise SystemExit(f"rejected: {answer.rejected}")
        held = answer.assignments
    if done != n_trials:
        raise SystemExit(f"{done} trials were handed out instead of {n_trials}")
    return times


def measure(n_trials: int, database: str, hold: int) -> dict[str, Any]:
    """One run: figures in milliseconds."""
    spec = SPEC | {"budget": {"trials": n_trials}}
    store = Store(database)
    store.migrate()  # which a service does by itself on SQLite alone
    store.close()
    with server(0, "--database", database) as address, httpx.Client(base_url=address, trust_env=False) as client:
        client.post("/v1/studies", json=spec).raise_for_status()
        times = drive(client, n_trials, hold)
    times["service"] = [call - suggestion for call, suggestion in zip(times["call"], times["suggestion"], strict=True)]
    tenth = max(2, len(times["call"]) // 10)
    return {
        "trials": n_trials,
        "hold": hold,
        "database": database.partition(":")[0],
        **{f"{name}_ms": spread(values) for name, values in times.items()},
        "last_tenth": {f"{name}_ms": spread(times[name][-tenth:]) for name in ("suggestion", "service")},
    }


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--hold", type=int, default=8, help="trials held at once")
    parser.add_argument("--database", help="an empty database's URL; default: SQLite in a fresh folder")
    parser.add_argument("--no-record", action="store_true")
    told = parser.parse_args()
    machine = describe("lrsearch", "optuna", "sqlalchemy", "fastapi", "pydantic", "numpy")
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(told.trials, told.database or f"sqlite:///{Path(folder) / 'bench.db'}", told.hold)
    print(*(f"{name}: {value}" for name, value in machine.items()), sep="\n")
    print(f"\n{told.trials} TPE trials over HTTP, {told.hold} a call, {figures['database']}; milliseconds a trial")
    rows = [
        ("call", figures["call_ms"]),
        ("heartbeat", figures["heartbeat_ms"]),
        ("suggestion", figures["suggestion_ms"]),
        ("  last tenth", figures["last_tenth"]["suggestion_ms"]),
        ("service", figures["service_ms"]),
        ("  last tenth", figures["last_tenth"]["service_ms"]),
    ]
    print(f"{'':14}" + "".join(f"{name:>9}" for name in figures["call_ms"]))
    for name, row in rows:
        print(f"{name:14}" + "".join(f"{value:9.2f}" for value in row.values()))
    for name, target in TARGETS.items():
        mean = figures[f"{name}_ms"]["mean"]
        print(f"{name}: mean {mean} ms a trial, wanted <= {target:g}: {'reached' if mean <= target else 'MISSED'}")
    if not told.no_record:
        print(f"recorded in {record('service_path', machine, figures).relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
