"""Exports: a schedule as text for a framework. A new target is one module and one name in ``TARGETS``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..errors import InvalidInput, NotFound
from ..schedules import History, Rescaling, Schedule, required_updates_per_epoch, rescaled
from .json import JSON
from .keras import KERAS
from .lightning import LIGHTNING
from .optax import OPTAX
from .table import NPY, TABLE
from .target import Export, ExportContext, ExportTarget
from .timm import TIMM
from .torch import TORCH
from .transformers import TRANSFORMERS

TARGETS: Mapping[str, ExportTarget] = MappingProxyType(
    {target.name: target for target in (TORCH, LIGHTNING, TRANSFORMERS, TIMM, KERAS, OPTAX, TABLE, NPY, JSON)}
)
"""Every export target by name."""


def export(
    schedule: Schedule,
    target: str,
    *,
    updates_per_epoch: int | None = None,
    study: str | None = None,
    trial: int | None = None,
    recipe: Mapping[str, Any] | None = None,
    history: History = (),
    rescale: Rescaling | None = None,
) -> Export:
    """Write ``schedule`` for ``target``.

    Args:
        schedule: the schedule.
        target: a name in ``TARGETS``.
        updates_per_epoch: optimiser updates an epoch, >= 1; needed by most targets where the horizon is in epochs.
        study: the study it was found in.
        trial: the trial it belongs to.
        recipe: what it was found for; its optimiser is written into code.
        history: what the trial measured, interval by interval; a metric-driven schedule needs it. Where it ends early,
            so does the curve: after it the last rate stays, which the text says.
        rescale: the horizon or batch size to carry the schedule to; said in the text's first comment.

    Raises:
        NotFound: no such target.
        InvalidInput: the target cannot express what the schedule controls; it needs the updates of an epoch and nobody
            knows them; a metric-driven schedule has no history, or is to be rescaled; as ``Schedule.clock``
            and ``Schedule.rescale``.
    """
    found = TARGETS.get(target)
    if found is None:
        raise NotFound(f"there is no export target {target!r:.100}; known are {', '.join(TARGETS)}")
    schedule, assumed = rescaled(schedule, rescale or {})
    if assumed and schedule.METRIC_DRIVEN:
        raise InvalidInput(f"{schedule.family} is exported as the curve it took, which has one length", field="epochs")
    if found.needs_updates and schedule.updates is None:
        required_updates_per_epoch(updates_per_epoch)
    unsaid = [name for name in schedule.wider if name not in found.wider]
    if unsaid:
        able = [other.name for other in TARGETS.values() if set(schedule.wider) <= other.wider]
        raise InvalidInput(
            f"{found.name} cannot express `{'`, `'.join(unsaid)}` of this schedule; {', '.join(able)} can",
            field="target",
        )
    context = ExportContext(updates_per_epoch, study, trial, recipe or {}, assumed, history)
    written = found.write(schedule, context)
    return Export(written.encode() if isinstance(written, str) else written, found.media_type)


__all__ = ["TARGETS", "Export", "ExportContext", "ExportTarget", "export"]
