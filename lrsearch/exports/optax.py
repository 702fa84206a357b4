"""Optax: a composition of its own schedules where that is exact, else the closed form in ``jax.numpy``."""

from __future__ import annotations

from ..schedules import Schedule
from .dialect import JAX
from .heading import form, heading
from .keras import MOST_POWER, POWER
from .pieces import few_pieces
from .target import ExportContext, ExportTarget

MOST_PIECES = 16
"""A composition looks at every piece at every update."""
TEMPLATE = """\
{heading}
{imports}import optax

{schedule}

optimizer = optax.sgd(learning_rate)  # your optimiser here
"""
NOTES = (
    "One update is one call of `optimizer.update`. Rates are float32 unless JAX is told otherwise, breakpoints exact.",
)


def write(schedule: Schedule, context: ExportContext) -> str:
    """A module that defines ``learning_rate``, an Optax schedule: a function of the update.

    Raises:
        InvalidInput: for lengths of 2^30 updates or more, which JAX does not count.
    """
    said = heading(schedule, context, "Optax", *NOTES)
    call = native(schedule, context)
    if call is not None:
        return TEMPLATE.format(heading=said, imports="", schedule=f"learning_rate = {call}")
    written = form(schedule, context, JAX)
    source = f"{written.constants}\n\n\n{written.function}\n\n\nlearning_rate = lr"
    return TEMPLATE.format(heading=said, imports=f"{written.imports}\n", schedule=source)


def native(schedule: Schedule, context: ExportContext) -> str | None:
    """The composition of Optax's schedules that gives every rate within float32; None where there is none.

    ``exponential_decay`` does not stay at its last rate beyond the horizon; there is no ramp but the linear one.
    """
    if schedule.METRIC_DRIVEN:
        return None
    clock = schedule.clock(context.updates_per_epoch)
    if clock.warmup and schedule.warmup_shape != "linear":
        return None
    peak, length = schedule.initial_lr, clock.horizon - clock.warmup
    parts, starts = [], []
    if clock.warmup:
        parts.append(f"optax.linear_schedule({schedule.warmup_start * peak!r}, {peak!r}, {clock.warmup})")
        starts.append(clock.warmup)
    if schedule.family == "cosine":
        parts.append(f"optax.cosine_decay_schedule({peak!r}, {length}, alpha={schedule.final_factor!r})")
    elif 1 <= (power := POWER.get(schedule.family, lambda schedule: 0.0)(schedule)) <= MOST_POWER:
        parts.append(f"optax.polynomial_schedule({peak!r}, {schedule.final_factor * peak!r}, {power!r}, {length})")
    else:
        pieces = few_pieces(schedule, context.updates_per_epoch, MOST_PIECES)
        if pieces is None:
            return None
        parts += [f"optax.constant_schedule({rate!r})" for rate in pieces.rates]
        starts += [clock.warmup + start for start in pieces.starts[1:]]
    if not starts:
        return parts[0]
    lines = "\n".join(f"        {part}," for part in parts)
    return f"optax.join_schedules(\n    [\n{lines}\n    ],\n    boundaries={starts},\n)"


OPTAX = ExportTarget("optax", "Optax: its own schedules where exact, else jax.numpy", "text/x-python", True, write)
