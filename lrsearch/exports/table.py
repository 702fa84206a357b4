"""The rate of every update as CSV, for any framework and any plot."""

from __future__ import annotations

from ..errors import InvalidInput
from ..schedules import Schedule
from .target import ExportContext, ExportTarget

MAX_ROWS = 1_000_000
"""Longer tables are better asked for in Python, an epoch at a time."""


def write(schedule: Schedule, context: ExportContext) -> str:
    """Lines ``update,lr`` for updates 0..H-1, each rate with all the digits of its float64.

    Raises:
        InvalidInput: for a horizon above ``MAX_ROWS`` updates.
    """
    horizon = schedule.clock(context.updates_per_epoch).horizon
    if horizon > MAX_ROWS:
        raise InvalidInput(
            f"a table holds at most {MAX_ROWS:,} updates (got {horizon:,}); export `json` and call `Schedule.lr` on "
            "the updates you want",
            field="target",
        )
    rates = schedule.lr_table(context.updates_per_epoch, history=context.history).tolist()
    return "\n".join(["update,lr", *(f"{update},{rate!r}" for update, rate in enumerate(rates)), ""])


TABLE = ExportTarget("table", "CSV: update, lr", "text/csv", True, write)
