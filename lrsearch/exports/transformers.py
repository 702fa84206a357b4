"""Transformers: TrainingArguments where they say the schedule exactly, else the Trainer's ``optimizers`` pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..schedules import Schedule
from .heading import heading
from .target import GROUPS, ExportContext, ExportTarget
from .torch_source import sets_the_rate, torch_source

Settings = dict[str, object]


@dataclass(frozen=True)
class Native:
    """One of Transformers' types that agrees with a family at every update.

    Attributes:
        type: its ``lr_scheduler_type``.
        settings: its keyword arguments, of a schedule and its lengths in updates; None where it does not agree.
        warms_from: the share of the peak at which its warm-up begins.
        warmups: the shapes of warm-up that it has, by ours.
    """

    type: str
    settings: Callable[[Any, Mapping[str, Any]], Settings | None] = lambda schedule, lengths: {}
    warms_from: Callable[[Any], float] = lambda schedule: 0.0
    warmups: tuple[str, ...] = ("linear",)


def _polynomial(power: float, schedule: Any) -> Settings | None:
    end = schedule.final_factor * schedule.initial_lr
    return {"lr_end": end, "power": power} if end < schedule.initial_lr else None


def _wsd(schedule: Any, lengths: Mapping[str, Any]) -> Settings:
    ramp = {"warmup_type": schedule.warmup_shape} if lengths["warmup"] else {}
    decay = {"decay_type": schedule.decay_shape, "min_lr_ratio": schedule.final_factor}
    return {"num_decay_steps": lengths["decay_length"], **decay, **ramp}


NATIVE: Mapping[str, Native] = MappingProxyType(
    {
        "constant": Native("constant_with_warmup"),
        "cosine": Native("cosine_with_min_lr", lambda schedule, lengths: {"min_lr_rate": schedule.final_factor}),
        "linear": Native("polynomial", lambda schedule, lengths: _polynomial(1.0, schedule)),
        "polynomial": Native("polynomial", lambda schedule, lengths: _polynomial(schedule.power, schedule)),
        "inverse_sqrt": Native(
            "inverse_sqrt",
            lambda schedule, lengths: {"timescale": lengths["timescale"]} if schedule.final_factor == 0 else None,
        ),
        "wsd": Native("warmup_stable_decay", _wsd, lambda schedule: schedule.final_factor, ("linear", "cosine")),
    }
)
"""The type for a family; it has none where it is not named."""

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
        heading=heading(schedule, context, "Transformers", *sets_the_rate(schedule), why),
        imports=source.imports,
        source=source.text,
        optimizer=source.optimizer,
        arguments=_lines(arguments),
    )


def native(schedule: Schedule, context: ExportContext) -> dict[str, object] | None:
    """The fields of ``TrainingArguments`` that give every rate exactly; None where there are none.

    Most types have one warm-up, linear from 0; their clock is ``max_steps``.
    """
    known = NATIVE.get(schedule.family)
    if known is None or schedule.groups:
        return None
    clock = schedule.clock(context.updates_per_epoch)
    warms = schedule.warmup_shape in known.warmups and schedule.warmup_start == known.warms_from(schedule)
    settings = known.settings(schedule, schedule.variables(clock))
    if settings is None or (clock.warmup and not warms):
        return None
    found: dict[str, object] = {"learning_rate": schedule.initial_lr, "lr_scheduler_type": known.type}
    return found | ({"lr_scheduler_kwargs": settings} if settings else {}) | {"warmup_steps": clock.warmup}


def _lines(arguments: Mapping[str, object]) -> str:
    return "\n".join(f'    "{name}": {value!r},' for name, value in arguments.items())


TRANSFORMERS = ExportTarget(
    "transformers",
    "Transformers: TrainingArguments where exact, else a Trainer's optimizers",
    "text/x-python",
    True,
    write,
    GROUPS,
)
