"""Keras 3: its own schedule class where that is exact, else a serialisable one over the closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ..schedules import Schedule
from .dialect import KERAS as DIALECT
from .heading import form, heading
from .pieces import few_pieces
from .target import ExportContext, ExportTarget

MOST_PIECES = 16
"""Keras looks at every piece at every update."""
MOST_POWER = 4.0
"""Keras and Optax subtract from 1 in float32: a low power of the rest is not exact near the end, nor is a high one."""
POWER: Mapping[str, Callable[[Any], float]] = MappingProxyType(
    {"linear": lambda schedule: 1.0, "polynomial": lambda schedule: schedule.power}
)
"""The families that are powers of what is left."""
NATIVE_TEMPLATE = """\
{heading}
import keras

learning_rate = keras.optimizers.schedules.{call}
optimizer = keras.optimizers.SGD(learning_rate)  # your optimiser here
"""
TEMPLATE = '''\
{heading}
{imports}import keras
from keras import ops

{constants}


{function}


@keras.saving.register_keras_serializable(package="lrsearch")
class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """The schedule as Keras saves and loads it."""

    def __call__(self, step):
        return ops.cast(lr(ops.cast(step, "int32")), "float32")

    def get_config(self):
        return {{}}


learning_rate = LearningRate()
optimizer = keras.optimizers.SGD(learning_rate)  # your optimiser here
'''
NOTES = (
    "One update is one step of the optimiser, `optimizer.iterations`. Rates are float32, breakpoints exact.",
    "A callback that sets the optimiser's learning rate cannot be used beside it.",
)


def write(schedule: Schedule, context: ExportContext) -> str:
    """A module that defines ``learning_rate``, a ``LearningRateSchedule``.

    Raises:
        InvalidInput: for lengths of 2^30 updates or more, which Keras does not count.
    """
    said = heading(schedule, context, "Keras", *NOTES)
    call = native(schedule, context)
    if call is not None:
        return NATIVE_TEMPLATE.format(heading=said, call=call)
    written = form(schedule, context, DIALECT)
    return TEMPLATE.format(
        heading=said,
        imports=f"{written.imports}\n" if written.imports else "",
        constants=written.constants,
        function=written.function,
    )


def native(schedule: Schedule, context: ExportContext) -> str | None:
    """The call of Keras's own class that gives every rate within float32; None where there is none.

    Of its classes only these stay at their last rate beyond the horizon; only ``CosineDecay`` warms up, linearly.
    """
    if schedule.METRIC_DRIVEN:
        return None
    clock = schedule.clock(context.updates_per_epoch)
    peak, length = schedule.initial_lr, clock.horizon - clock.warmup
    if schedule.family == "cosine" and (not clock.warmup or schedule.warmup_shape == "linear"):
        first = f"{schedule.warmup_start * peak!r}, {length}" if clock.warmup else f"{peak!r}, {length}"
        warmup = f", warmup_target={peak!r}, warmup_steps={clock.warmup}" if clock.warmup else ""
        return f"CosineDecay({first}, alpha={schedule.final_factor!r}{warmup})"
    power = POWER.get(schedule.family, lambda schedule: 0.0)(schedule)
    if not clock.warmup and 1 <= power <= MOST_POWER:
        return f"PolynomialDecay({peak!r}, {length}, {schedule.final_factor * peak!r}, power={power!r})"
    pieces = None if clock.warmup else few_pieces(schedule, context.updates_per_epoch, MOST_PIECES)
    if pieces is not None and len(pieces.starts) > 1:
        ends = [start - 1 for start in pieces.starts[1:]]
        boundaries = f"boundaries={ends},  # the last update of each rate"
        return f"PiecewiseConstantDecay(\n    {boundaries}\n    values={pieces.rates},\n)"
    return None


KERAS = ExportTarget(
    "keras", "Keras 3: a LearningRateSchedule, its own class where exact", "text/x-python", True, write
)
