"""Transformers: TrainingArguments where they say the schedule exactly, else the Trainer's ``optimizers`` pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ..schedules import Clock, Schedule
from .heading import heading
from .target import ExportContext, ExportTarget
from .torch_source import SETS_THE_RATE, torch_source

Named = tuple[str, dict[str, object]]


def _cosine(schedule: Any, clock: Clock) -> Named:
    if schedule.final_factor == 0:
        return "cosine", {}
    return "cosine_with_min_lr", {"min_lr_rate": schedule.final_factor}


NATIVE: Mapping[str, Callable[[Any, Clock], Named | None]] = MappingProxyType(
    {
        "constant": lambda schedule, clock: ("constant_with_warmup" if clock.warmup else "constant", {}),
        "cosine": _cosine,
    }
)
"""``lr_scheduler_type`` and its keyword arguments for a family's decay; None where none agrees at every update."""

NATIVE_TEMPLATE = """\
{heading}
ARGUMENTS = {{
{arguments}
}}
# TrainingArguments(output_dir="out", **ARGUMENTS)
"""
PAIR_TEMPLATE = '''\
{heading}
{imports}

{source}


ARGUMENTS = {{
{arguments}
}}


def optimizers(model):
    """The optimiser and its scheduler, which the Trainer steps once an optimiser update."""
    optimizer = {optimizer}
    return optimizer, make_scheduler(optimizer)


# Trainer(model, TrainingArguments(output_dir="out", **ARGUMENTS), optimizers=optimizers(model), ...)
'''


def write(schedule: Schedule, context: ExportContext) -> str:
    """``ARGUMENTS`` for TrainingArguments alone, or with ``optimizers(model)`` for what they cannot say."""
    arguments: dict[str, object] = {"max_steps": context.horizon(schedule)}
    if context.recipe:  # left out, Transformers clips at 1
        arguments["max_grad_norm"] = context.recipe.get("clip_norm") or 0.0
    found = native(schedule, context)
    if found is not None:
        return NATIVE_TEMPLATE.format(
            heading=heading(schedule, context, "Transformers", "The optimiser is the Trainer's own; so is its lr."),
            arguments=_lines(found | arguments),
        )
    source = torch_source(schedule, context)
    why = "Transformers has no lr_scheduler_type with these rates: hand the Trainer its optimizers."
    return PAIR_TEMPLATE.format(
        heading=heading(schedule, context, "Transformers", *SETS_THE_RATE, why),
        imports=source.imports,
        source=source.text,
        optimizer=source.optimizer,
        arguments=_lines(arguments),
    )


def native(schedule: Schedule, context: ExportContext) -> dict[str, object] | None:
    """The fields of ``TrainingArguments`` that give every rate exactly; None where there are none.

    Its warm-up is linear and begins at 0, its clock is ``max_steps``.
    """
    decay = NATIVE.get(schedule.family)
    if decay is None:
        return None
    clock = schedule.clock(context.updates_per_epoch)
    if clock.warmup and not (schedule.warmup_shape == "linear" and schedule.warmup_start == 0):
        return None
    named = decay(schedule, clock)
    if named is None:
        return None
    name, settings = named
    found: dict[str, object] = {"learning_rate": schedule.initial_lr, "lr_scheduler_type": name}
    return found | ({"lr_scheduler_kwargs": settings} if settings else {}) | {"warmup_steps": clock.warmup}


def _lines(arguments: Mapping[str, object]) -> str:
    return "\n".join(f'    "{name}": {value!r},' for name, value in arguments.items())


TRANSFORMERS = ExportTarget(
    "transformers",
    "Transformers: TrainingArguments where exact, else a Trainer's optimizers",
    "text/x-python",
    True,
    write,
)
