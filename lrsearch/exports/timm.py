"""timm: one of its Schedulers over the closed form, and the arguments of its train.py where they say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ..schedules import Schedule
from .heading import form, heading
from .target import ExportContext, ExportTarget

Arguments = dict[str, object]


def _down(schedule: Schedule) -> Arguments:
    return {"min-lr": schedule.final_factor * schedule.initial_lr}


NATIVE: Mapping[str, Callable[[Any], Arguments | None]] = MappingProxyType(
    {
        "constant": lambda schedule: {"sched": "constant"},
        "step": lambda schedule: (
            {"sched": "step", "decay-rate": schedule.decay_rate, "decay-epochs": int(schedule.step_size)}
            if schedule.final_factor == 0 and float(schedule.step_size).is_integer()
            else None
        ),
        "cosine": lambda schedule: {"sched": "cosine", **_down(schedule)},
        "linear": lambda schedule: {"sched": "poly", "decay-rate": 1.0, **_down(schedule)},
        "polynomial": lambda schedule: {"sched": "poly", "decay-rate": schedule.power, **_down(schedule)},
    }
)
"""The arguments of ``timm/train.py`` for a family's decay; None where it has none that agree at every update.

``multistep`` has none: timm's is one update early.
"""

TEMPLATE = '''\
{heading}
{imports}from timm.scheduler.scheduler import Scheduler

{constants}{arguments}


{function}


class Schedule(Scheduler):
    """Sets the rate of every parameter group, times its lr_scale; step_update(updates done) after every update."""

    def __init__(self, optimizer):
        super().__init__(optimizer, param_group_field="lr", t_in_epochs=False)
        self.step_update(0)

    def _get_lr(self, t):
        return [lr(t)] * len(self.base_values)
'''
SETS_THE_RATE = "The schedule sets the rate, times a group's lr_scale: the optimiser's own lr is ignored."
STEPS = "Call scheduler.step_update(num_updates) after every optimiser update, as timm's train.py does."


def write(schedule: Schedule, context: ExportContext) -> str:
    """A self-contained module: constants, ``lr(update)``, a timm ``Scheduler``; ``ARGUMENTS`` where they are exact."""
    arguments = native(schedule, context)
    written = form(schedule, context)
    said = " ".join(part for name, value in (arguments or {}).items() for part in _spelled(name, value))
    return TEMPLATE.format(
        heading=heading(schedule, context, "timm", SETS_THE_RATE, STEPS),
        imports=f"{written.imports}\n\n" if written.imports else "",
        constants=written.constants,
        arguments=f"\n\n# the same for timm's own train.py\nARGUMENTS = {said!r}" if arguments else "",
        function=written.function,
    )


def native(schedule: Schedule, context: ExportContext) -> Arguments | None:
    """The arguments of ``timm/train.py`` that give every rate exactly; None where there are none.

    Its lengths are whole epochs, its warm-up is linear, and ``--epochs`` leaves out a warm-up that comes first.
    """
    decay = NATIVE.get(schedule.family)
    if decay is None or schedule.epochs is None:
        return None
    clock = schedule.clock(context.updates_per_epoch)
    if clock.warmup and (schedule.warmup_shape != "linear" or not float(schedule.warmup).is_integer()):
        return None
    shape = decay(schedule)
    if shape is None:
        return None
    warmup = int(schedule.warmup) if clock.warmup else 0
    first = {"warmup-lr": schedule.warmup_start * schedule.initial_lr, "warmup-prefix": True} if warmup else {}
    return {
        **shape,
        "sched-on-updates": True,
        "lr": schedule.initial_lr,
        "epochs": schedule.epochs - warmup,
        "warmup-epochs": warmup,
        **first,
    }


def _spelled(name: str, value: object) -> list[str]:
    if value is True:
        return [f"--{name}"]
    return [f"--{name}", *(str(part) for part in (value if isinstance(value, list) else [value]))]


TIMM = ExportTarget("timm", "timm: a Scheduler, and train.py's arguments where exact", "text/x-python", True, write)
