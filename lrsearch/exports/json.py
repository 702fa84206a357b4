"""The schedule as it travels over HTTP, with where it is from."""

from __future__ import annotations

import json
from typing import Any

from ..schedules import WIDER, Schedule
from .target import GROUPS, ExportContext, ExportTarget


def write(schedule: Schedule, context: ExportContext) -> str:
    """A JSON object: ``study, trial, updates_per_epoch, rescaled, schedule``; ``lrsearch.Schedule`` reads the last.

    A metric-driven schedule comes with its ``history``: with it ``Schedule.lr_table`` is the curve that was taken.
    Where its trial ended early the history has fewer intervals, and ``Schedule.lr`` knows the rates so far.
    """
    told: dict[str, Any] = {
        "study": context.study,
        "trial": context.trial,
        "updates_per_epoch": context.updates_per_epoch,
        "rescaled": list(context.rescaled),
        "schedule": schedule.model_dump(mode="json"),
    }
    if schedule.METRIC_DRIVEN:
        told["history"] = [dict(metrics) for metrics in context.history]
    return json.dumps(told, indent=2, allow_nan=False) + "\n"


JSON = ExportTarget(
    "json", "the schedule as lrsearch reads it", "application/json", False, write, GROUPS | frozenset(WIDER)
)
