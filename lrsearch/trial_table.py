"""A study's trials as lines of CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .schedules import FAMILIES, HORIZON
from .study import Trial

BEFORE = ("number", "state", "value", "origin", "family")
AFTER = ("seconds", "attempts", "worker", "retry_of", "error", "created_at", "started_at", "finished_at")
PARAMETERS = tuple(dict.fromkeys(name for family in FAMILIES.values() for name in (*HORIZON, *family.parameters())))
"""Every parameter of every family, and the horizon."""


def csv_lines(read: Callable[[], Iterable[Trial]]) -> Iterator[str]:
    """The header, then one line a trial, in the order in which ``read`` gives them.

    They are read twice, the first time before the first line: the columns of metrics are known only when all have been
    seen.
    """
    metrics = list(dict.fromkeys(metric for trial in read() for metric in trial.metrics))
    yield _line([*BEFORE, *PARAMETERS, "epochs_trained", "epochs_shared", *metrics, *AFTER])
    for trial in read():
        yield _line(_cells(trial, metrics))


def _cells(trial: Trial, metrics: list[str]) -> list[Any]:
    row = trial.model_dump(mode="json")
    schedule = row["schedule"]
    return [
        *(row[column] for column in BEFORE[:-1]),
        schedule["family"],
        *(schedule.get(parameter) for parameter in PARAMETERS),
        row["epochs"]["trained"],
        row["epochs"]["shared"],
        *(row["metrics"].get(metric) for metric in metrics),
        *(row[column] for column in AFTER),
    ]


def _line(cells: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_harmless(cell) for cell in cells])
    return line.getvalue()


def _harmless(cell: Any) -> Any:
    """Text that a spreadsheet would run as a formula is quoted."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
