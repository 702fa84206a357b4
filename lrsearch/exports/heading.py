"""The comment that opens every emitted text: where the schedule is from, and what the text assumes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..schedules import Schedule
from .closed_form import ClosedForm, closed_form
from .dialect import PYTHON, Dialect
from .pieces import table_form
from .target import ExportContext

WIDTH = 110


def heading(schedule: Schedule, context: ExportContext, framework: str, *notes: str) -> str:
    """Comment lines: family and framework, source, changes, units and lengths, recipe; then ``notes``."""
    found = f"Found by lrsearch: {context.source}." if context.source else "Written by lrsearch."
    horizon = context.horizon(schedule)
    in_epochs = schedule.epochs is not None
    ended = context.ended(schedule)
    epochs = schedule.epochs if ended is None else ended
    length = f"{epochs} epochs of {context.updates_per_epoch} optimiser updates, {horizon} updates in all"
    lines = [f"Learning-rate schedule ({schedule.family}), for {framework}. {found}"]
    lines += [f"Rescaled: {'; '.join(context.rescaled)}."] if context.rescaled else []
    if schedule.METRIC_DRIVEN:
        lines.append("The rates that this trial really took: the schedule answers to metrics, this text does not.")
    if ended is not None:
        planned = f"{schedule.epochs} epochs" if in_epochs else f"{schedule.horizon} updates"
        lines.append(
            f"The trial ended after {f'epoch {ended}' if in_epochs else f'update {horizon}'} of {planned}, before its "
            "schedule did: what would have come then nobody knows, so the last rate stays."
        )
    lines.append(f"Assumes {length if in_epochs else f'{horizon} optimiser updates'}; update 0 is the first.")
    lines += _recipe(context.recipe)
    comment = [part for line in lines for part in textwrap.wrap(line, WIDTH)]
    if notes:
        comment += ["", *(part for note in notes for part in textwrap.wrap(note, WIDTH))]
    return "\n".join(f"# {line}".rstrip() for line in comment)


def form(schedule: Schedule, context: ExportContext, dialect: Dialect = PYTHON) -> ClosedForm:
    """``lr(update)`` in a dialect: the formula, or the curve that a metric-driven schedule took.

    Raises:
        InvalidInput: as ``Schedule.clock``, ``Schedule.lr`` and ``table_form``.
    """
    if schedule.METRIC_DRIVEN:
        if context.ended(schedule) is not None:
            return table_form(context.table(schedule), dialect)
        updates = np.arange(context.horizon(schedule) + 1)
        return table_form(schedule.lr(updates, context.updates_per_epoch, history=context.history), dialect)
    return closed_form(schedule, context.updates_per_epoch, dialect)


def _recipe(recipe: Mapping[str, Any]) -> list[str]:
    told = [f"{name} {recipe[name]}" for name in ("task", "batch_size", "precision") if recipe.get(name) is not None]
    optimizer = recipe.get("optimizer")
    if isinstance(optimizer, Mapping):
        settings = ", ".join(f"{key} {value}" for key, value in optimizer.items() if key != "name")
        told.append(f"optimizer {optimizer.get('name')} ({settings})" if settings else f"optimizer {optimizer['name']}")
    if recipe.get("clip_norm") is not None:
        told.append(f"gradients clipped to norm {recipe['clip_norm']}")
    return [f"Found with {', '.join(told)}."] if told else []
