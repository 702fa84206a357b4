"""The rate of every update as CSV or as a numpy file, for any framework and any plot."""

from __future__ import annotations

import io

import numpy as np

from ..errors import InvalidInput
from ..schedules import FloatArray, Schedule
from .pieces import MAX_UPDATES
from .target import GROUPS, MOMENTUM, ExportContext, ExportTarget


def rates(schedule: Schedule, context: ExportContext) -> FloatArray:
    """The rate of every update, shape (H,); of a metric-driven schedule until its trial ended.

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
    """Lines ``update,lr`` for updates 0..H-1, with all the digits of each float64.

    Then ``lr_head`` for every parameter group with a rate of its own, and ``momentum`` if it moves.
    """
    table = rates(schedule, context)
    columns = {"lr": table.tolist()}
    columns |= {f"lr_{name}": own.lr_table(context.updates_per_epoch).tolist() for name, own in schedule.groups}
    momentum = schedule.momentum(np.arange(len(table)), context.updates_per_epoch, history=context.history)
    if momentum is not None:
        columns["momentum"] = momentum.tolist()
    lines = (f"{update},{','.join(map(repr, row))}" for update, row in enumerate(zip(*columns.values(), strict=True)))
    return "\n".join([",".join(["update", *columns]), *lines, ""])


def write_npy(schedule: Schedule, context: ExportContext) -> bytes:
    """What ``numpy.load`` reads: float64, shape (H,)."""
    file = io.BytesIO()
    np.save(file, rates(schedule, context), allow_pickle=False)
    return file.getvalue()


TABLE = ExportTarget(
    "table",
    "CSV: update, lr, a parameter group's lr, and momentum where it moves",
    "text/csv",
    True,
    write_csv,
    MOMENTUM | GROUPS,
)
NPY = ExportTarget("npy", "numpy file: the rate of every update, float64", "application/x-npy", True, write_npy)
