"""A schedule drawn with block characters in a terminal."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from ..schedules import MetricDriven, Schedule
from .canvas import DECADES, LOG_FROM

BLOCKS = " ▁▂▃▄▅▆▇█"


def sketch(schedule: Schedule, updates_per_epoch: int | None = None, *, width: int = 60, height: int = 8) -> str:
    """``schedule`` as lines of block characters; a metric-driven one as it is while its metric improves.

    Args:
        schedule: the schedule.
        updates_per_epoch: where its horizon is in epochs; any number shows the shape.
        width: columns, >= 1; each shows the mean rate of its share of the updates.
        height: rows, >= 1.
    """
    table = schedule.lr_table(updates_per_epoch, history=schedule.improving(updates_per_epoch))
    edges = np.linspace(0, len(table), width + 1)
    columns = np.array([table[int(low) : max(int(low) + 1, int(high))].mean() for low, high in pairwise(edges)])
    peak = float(columns.max())
    lowest = float(columns[columns > 0].min(initial=peak))
    logarithmic = peak / lowest > LOG_FROM
    floor = max(lowest, peak * 10.0**-DECADES) / 1.5 if logarithmic else 0.0
    shares = np.log(np.maximum(columns, floor) / floor) / math.log(peak / floor) if logarithmic else columns / peak
    eighths = np.rint(shares * height * 8).astype(int)
    labels = {0: f"{peak:.3g}", height - 1: f"{floor:.3g}"}
    rows = []
    for row in range(height):
        filled = np.clip(eighths - (height - 1 - row) * 8, 0, 8)
        rows.append(f"{labels.get(row, ''):>9} ┤{''.join(BLOCKS[level] for level in filled)}")
    unit = "epochs" if schedule.epochs is not None else "updates"
    end = f"{schedule.horizon} {unit}"
    rows.append(" " * 10 + "└" + "─" * width)
    rows.append(" " * 11 + "0" + f"{end:>{width - 1}}")
    if logarithmic:
        rows[0] += "  (logarithmic)"
    if isinstance(schedule, MetricDriven):
        rows[0] += f"  (as long as {schedule.metric} improves)"
    return "\n".join(rows)
