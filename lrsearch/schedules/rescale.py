"""A schedule carried to another horizon, unit or batch size; what had to be assumed is said in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict

from pydantic import ValidationError

from ..errors import InvalidInput
from ..frozen import invalid_input
from .groups import HORIZON, group_fields
from .length import required_updates_per_epoch
from .schedule import Schedule

RULES: Mapping[str, Callable[[float], float]] = MappingProxyType({"linear": lambda ratio: ratio, "sqrt": math.sqrt})
"""How the rate follows the batch size, by name: its factor for a ratio of batch sizes."""


class Rescaled(NamedTuple):
    """A ``schedule`` and what was ``assumed`` to come to it, a line each."""

    schedule: Schedule
    assumed: tuple[str, ...]


class Rescaling(TypedDict, total=False):
    """What a schedule is carried to; what is left out (or None) stays as it is."""

    epochs: int | None
    """The new horizon in epochs."""
    updates: int | None
    """The new horizon in updates, instead."""
    updates_per_epoch: int | None
    """Optimiser updates an epoch: a horizon in updates becomes the epochs that they make."""
    batch_size: int | None
    """The new batch size."""
    from_batch_size: int | None
    """The batch size that the schedule was found with; needed with `batch_size`."""
    rule: str | None
    """How the rate follows the batch size: `linear` or `sqrt`; default linear."""


def rescaled(schedule: Schedule, to: Rescaling) -> Rescaled:
    """``Schedule.rescale``, with what it assumed in words: see there."""
    epochs, updates, batch_size = to.get("epochs"), to.get("updates"), to.get("batch_size")
    if epochs is not None and updates is not None:
        raise InvalidInput(f"a horizon is `epochs` or `updates`, not both ({epochs} and {updates})", field="updates")
    assumed: list[str] = []
    change: dict[str, Any] = {}
    asked = epochs is not None or updates is not None
    if batch_size is not None:
        rule, found_with = to.get("rule") or "linear", to.get("from_batch_size")
        ratio = _ratio(batch_size, found_with, rule)
        factor = RULES[rule](ratio)
        change["initial_lr"] = schedule.initial_lr * factor
        assumed.append(f"batch size {found_with} to {batch_size}: the {rule} rule multiplies the rate by {factor:g}")
        if schedule.updates is not None and not asked:
            updates, asked = max(1, math.floor(schedule.updates / ratio + 0.5)), True
            assumed.append(f"the same number of examples: {schedule.updates} updates become {updates}")
    per_epoch = to.get("updates_per_epoch")
    if schedule.updates is not None and per_epoch is not None and not asked:
        epochs = _whole_epochs(schedule.updates, per_epoch)
    horizon = _horizon(schedule, epochs, updates)
    if horizon:
        told = [f"{size} {unit}" for unit in ("epochs", "updates") for size in (getattr(schedule, unit),) if size]
        unit = "epochs" if "epochs" in horizon else "updates"
        new = horizon[unit]
        told.append(f"{new} {unit}")
        assumed.append(f"{' to '.join(told)}: every length keeps its share of the horizon")
        change |= {name: _times(getattr(schedule, name), new / schedule.horizon) for name in schedule.lengths()}
    if not assumed:
        return Rescaled(schedule, ())
    if schedule.groups:
        change["groups"] = {name: group_fields(rescaled(own, to).schedule) for name, own in schedule.groups}
    kept = {name: getattr(schedule, name) for name in type(schedule).model_fields if not horizon or name not in HORIZON}
    try:
        return Rescaled(type(schedule).model_validate({**kept, **horizon, **change}), tuple(assumed))
    except ValidationError as error:
        raise invalid_input(error) from None


def _ratio(batch_size: int, from_batch_size: int | None, rule: str) -> float:
    if rule not in RULES:
        raise InvalidInput(f"`rule` is one of {', '.join(RULES)} (got {rule!r:.100})", field="rule")
    for name, size in (("batch_size", batch_size), ("from_batch_size", from_batch_size)):
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise InvalidInput(
                f"a rate is carried from one batch size to another, whole numbers >= 1: give `{name}` (got {size!r})",
                field=name,
            )
    assert from_batch_size is not None
    return batch_size / from_batch_size


def _whole_epochs(updates: int, updates_per_epoch: int) -> int:
    epochs, rest = divmod(updates, required_updates_per_epoch(updates_per_epoch))
    if rest or not epochs:
        raise InvalidInput(
            f"{updates} updates are no whole number of epochs of {updates_per_epoch}: give `epochs` or `updates`",
            field="updates_per_epoch",
        )
    return epochs


def _horizon(schedule: Schedule, epochs: int | None, updates: int | None) -> dict[str, Any]:
    """The fields of another horizon; none where it is the schedule's own."""
    if epochs is not None:
        return {} if epochs == schedule.epochs else {"epochs": epochs}
    if updates is None or updates == schedule.updates:
        return {}
    intervals = schedule.epochs or schedule.horizon / (schedule.eval_every or 1)
    return {"updates": updates, "eval_every": max(1, math.floor(updates / intervals + 0.5))}


def _times(length: Any, factor: float) -> Any:
    if isinstance(length, tuple):
        return tuple(item * factor for item in length)
    return length * factor
