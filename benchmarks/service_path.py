"""What the service costs a trial: TPE on least-squares through the HTTP path, suggestions counted apart.

A real server process (``lrsearch serve``) and one client, which holds 8 trials and reports them one after the other,
each with its points and its result in one call; the answer hands out the next trial. The client trains nothing: a
trial's value is worked out from its schedule beforehand, by the task's own recursion, and is not part of any figure.

* *call*: the client's wall time of one report, answer included.
* *heartbeat*: the same call with nothing in it, for comparison: HTTP, JSON, a transaction.
* *suggestion*: the time of ``Suggester.suggest`` for the same numbers on the same history, in this process afterwards.
* *service a trial*: call less suggestion, trial by trial.

    python benchmarks/service_path.py [--trials 1000] [--database URL] [--no-record]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe, record, spread

from lrsearch import Client, StudySpec
from lrsearch.resolve import resolve
from lrsearch.schedules import Schedule
from lrsearch.search import Suggester
from lrsearch.study import Assignment, LeaseRequest, Outcome, Point, Report, ReportRequest, Result
from lrsearch.tasks.catalog import CATALOG
from lrsearch.tasks.least_squares import LeastSquares
from lrsearch.trajectory import n_intervals

HOLD = 8
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
    "sampler": {"name": "tpe", "seed": 0, "parallel": HOLD},
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


@contextmanager
def server(database: str) -> Iterator[str]:
    """A server process without workers; its address."""
    command = [sys.executable, "-m", "lrsearch.cli", "serve", "--port", "0", "--workers", "0", "--database", database]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "LRSEARCH_TOKEN": ""})
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "http://" not in line:
            raise SystemExit(f"the server did not start: {line!r}")
        yield line.split("Listening on ")[1].split()[0]
    finally:
        process.terminate()
        process.wait(30)


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


def drive(client: Client, n_trials: int) -> tuple[list[float], list[float]]:
    """Milliseconds of every report that ended a trial, and of a heartbeat before each tenth of them."""
    lease = client.lease(LeaseRequest(worker="bench", hold=HOLD, study="service-path"))
    held = {assignment.trial: assignment for assignment in lease.assignments}
    calls: list[float] = []
    beats: list[float] = []
    while held:
        if len(calls) % 10 == 0:
            begun = time.perf_counter()
            client.report(lease.lease, ReportRequest())
            beats.append(1e3 * (time.perf_counter() - begun))
        assignment = held.pop(min(held))
        request = ReportRequest(hold=HOLD, reports=(report_of(assignment),))
        begun = time.perf_counter()
        answer = client.report(lease.lease, request)
        calls.append(1e3 * (time.perf_counter() - begun))
        if answer.rejected:
            raise SystemExit(f"rejected: {answer.rejected}")
        held |= {new.trial: new for new in answer.assignments if new.trial != assignment.trial}
    if len(calls) != n_trials:
        raise SystemExit(f"{len(calls)} trials were handed out instead of {n_trials}")
    return calls, beats


def suggestion_times(spec: StudySpec, history: Sequence[Outcome]) -> list[float]:
    """Milliseconds of every suggestion on the history that the service had."""
    suggester = Suggester(spec)
    times = []
    for number, outcome in enumerate(history):
        begun = time.perf_counter()
        params = suggester.suggest(number, history[:number])
        times.append(1e3 * (time.perf_counter() - begun))
        if params != outcome.params:
            raise SystemExit(f"trial {number} was suggested otherwise by the service: {outcome.params} / {params}")
    return times


def history_of(client: Client) -> list[Outcome]:
    """What the service's suggestions saw, by number."""
    outcomes: list[Outcome] = []
    cursor: str | None = None
    while True:
        page = client.list_trials("service-path", limit=500, cursor=cursor)
        outcomes += [Outcome(t.number, t.state, t.value, dict(t.params), t.origin) for t in page.items]
        cursor = page.next
        if cursor is None:
            return outcomes


def measure(n_trials: int, database: str) -> dict[str, Any]:
    """One run: figures in milliseconds."""
    spec = StudySpec.read(SPEC | {"budget": {"trials": n_trials}})
    with server(database) as address, Client(address) as client:
        client.create(spec)
        calls, beats = drive(client, n_trials)
        history = history_of(client)
    suggestions = suggestion_times(resolve(spec, CATALOG["least-squares"]), history)
    # the report that ended the n-th trial drew suggestion n + HOLD
    drawn = [*suggestions[HOLD:], *[0.0] * HOLD]
    service = [call - suggestion for call, suggestion in zip(calls, drawn, strict=True)]
    tenth = max(1, n_trials // 10)
    return {
        "trials": n_trials,
        "database": database.partition(":")[0],
        "heartbeat_ms": spread(beats),
        "call_ms": spread(calls),
        "suggestion_ms": spread(suggestions),
        "service_ms": spread(service),
        "last_tenth": {"suggestion_ms": spread(suggestions[-tenth:]), "service_ms": spread(service[-tenth:])},
    }


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--database", help="an empty database's URL; default: SQLite in a fresh folder")
    parser.add_argument("--no-record", action="store_true")
    told = parser.parse_args()
    machine = describe("lrsearch", "optuna", "sqlalchemy", "fastapi", "pydantic", "numpy")
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(told.trials, told.database or f"sqlite:///{Path(folder) / 'bench.db'}")
    print(*(f"{name}: {value}" for name, value in machine.items()), sep="\n")
    print(f"\n{told.trials} TPE trials over HTTP, {figures['database']}; milliseconds a trial")
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
