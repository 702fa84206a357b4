"""The rate of every update as CSV or as a numpy file, for any framework and any plot."""

from __future__ import annotations

import io

import numpy as np

from ..errors import InvalidInput
from ..schedules import FloatArray, Schedule
from .pieces import MAX_UPDATES
from .target import ExportContext, ExportTarget


def rates(schedule: Schedule, context: ExportContext) -> FloatArray:
    """The rate of every update, shape (H,).

    Raises:
        InvalidInput: for a horizon above ``MAX_UPDATES`` updates.
    """
    horizon = context.horizon(schedule)
    if horizon > MAX_UPDATES:
        raise InvalidInput(
            f"a table holds at most {MAX_UPDATES:,} updates (got {horizon:,}); export `json` and call `Schedule.lr` on "
            "the updates you want",
            field="target",
        )
    return context.table(schedule)


def write_csv(schedule: Schedule, context: ExportContext) -> str:
    """Lines ``update,lr`` for updates 0..H-1, each rate with all the digits of its float64."""
    told = rates(schedule, context).tolist()
    return "\n".join(["update,lr", *(f"{update},{rate!r}" for update, rate in enumerate(told)), ""])


def write_npy(schedule: Schedule, context: ExportContext) -> bytes:
    """What ``numpy.load`` reads: float64, shape (H,)."""
    file = io.BytesIO()
    np.save(file, rates(schedule, context), allow_pickle=False)
    return file.getvalue()


TABLE = ExportTarget("table", "CSV: update, lr", "text/csv", True, write_csv)
NPY = ExportTarget("npy", "numpy file: the rate of every update, float64", "application/x-npy", True, write_npy)
