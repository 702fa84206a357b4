"""Optax: a composition of its own schedules where that is exact, else the closed form in ``jax.numpy``."""

from __future__ import annotations

from ..schedules import Schedule
from .dialect import JAX
from .groups import GROUP_OF, group_forms, joined, modules_of
from .heading import form, heading
from .keras import MOST_POWER, POWER
from .pieces import few_pieces
from .target import GROUPS, ExportContext, ExportTarget

MOST_PIECES = 16
"""A composition looks at every piece at every update."""
TEMPLATE = """\
{heading}
{imports}import optax

{schedule}

optimizer = optax.sgd(learning_rate)  # your optimiser here
"""
GROUPED = '''\
{heading}
{imports}
import jax
import optax

{constants}


{functions}


learning_rates = {{
    "": lr,  # all others
{rates}}}


def labels(params):
    """The group of every parameter, by its path in `params` (`head.kernel`, `params.head.kernel`)."""

    def label(path, _):
        keys = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", "")))) for key in path]
        return group_of(".".join(keys[1:] if keys[0] == "params" else keys)) or ""

    return jax.tree_util.tree_map_with_path(label, params)


# your optimiser in the place of sgd
optimizer = optax.multi_transform({{name: optax.sgd(rate) for name, rate in learning_rates.items()}}, labels)
'''
NOTES = (
    "One update is one call of `optimizer.update`. Rates are float32 unless JAX is told otherwise, breakpoints exact.",
)


def write(schedule: Schedule, context: ExportContext) -> str:
    """A module that defines ``learning_rate``, an Optax schedule: a function of the update.

    Raises:
        InvalidInput: for lengths of 2^30 updates or more, which JAX does not count.
    """
    said = heading(schedule, context, "Optax", *NOTES)
    if schedule.groups:
        return _grouped(schedule, context, said)
    call = native(schedule, context)
    if call is not None:
        return TEMPLATE.format(heading=said, imports="", schedule=f"learning_rate = {call}")
    written = form(schedule, context, JAX)
    source = f"{written.constants}\n\n\n{written.function}\n\n\nlearning_rate = lr"
    return TEMPLATE.format(heading=said, imports=f"{written.imports}\n", schedule=source)


def _grouped(schedule: Schedule, context: ExportContext, said: str) -> str:
    """``learning_rates``, a schedule for every group, and an optimiser that takes each for its own parameters."""
    groups = group_forms(schedule, context, JAX)
    written = joined(form(schedule, context, JAX), groups)
    rates = "".join(f'    "{name}": lr_{name},\n' for name in groups)
    return GROUPED.format(
        heading=said,
        imports=written.imports,
        constants=f"{written.constants}\n{modules_of(schedule, context)}",
        functions=f"{written.function}\n{GROUP_OF}",
        rates=rates,
    )


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


OPTAX = ExportTarget(
    "optax", "Optax: its own schedules where exact, else jax.numpy", "text/x-python", True, write, GROUPS
)
