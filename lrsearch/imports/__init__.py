"""Imports: a scheduler or config of a framework as a ``Schedule``, where exact. A new one: a module and a name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..errors import NotFound
from ..schedules import Schedule
from .reading import Importer, Training
from .timm import TIMM
from .torch import TORCH
from .transformers import TRANSFORMERS

IMPORTERS: Mapping[str, Importer] = MappingProxyType(
    {importer.name: importer for importer in (TORCH, TRANSFORMERS, TIMM)}
)
"""Every framework that can be read, by name."""


def import_schedule(
    framework: str,
    source: Any,
    *,
    updates: int | None = None,
    eval_every: int | None = None,
    epochs: int | None = None,
    updates_per_epoch: int | None = None,
    group: int | None = None,
) -> Schedule:
    """Read ``source``, a scheduler or config of ``framework``, as a schedule with the same rates.

    Its ``lr(u)`` is the rate that the framework uses for update u, for every update of the training; what no schedule
    says exactly is refused with what to do, never approximated.

    Args:
        framework: a name in ``IMPORTERS``: ``"torch"`` (a scheduler, stepped or not), ``"transformers"``
            (``TrainingArguments``, or a mapping of their fields) or ``"timm"`` (the arguments of its ``train.py``: a
            namespace, a mapping like its ``args.yaml``, or a command line).
        source: what is read; it is left as it is.
        updates: optimiser updates of the whole training; needed where the source does not say.
        eval_every: updates between two reports; by default one report at the end.
        epochs: instead of ``updates``, where a torch scheduler is stepped once an epoch.
        updates_per_epoch: optimiser updates an epoch, for what timm counts in epochs and changes between two.
        group: the parameter group to read, from 0; needed where groups of the optimiser have different lr.

    Raises:
        NotFound: no such framework.
        InvalidInput: the source is not exact as a schedule, or something that it leaves open was not given.
    """
    found = IMPORTERS.get(framework)
    if found is None:
        raise NotFound(f"there is no importer {framework!r:.100}; known are {', '.join(IMPORTERS)}")
    return found.read(source, Training(updates, eval_every, epochs, updates_per_epoch, group))


__all__ = ["IMPORTERS", "Importer", "Training", "import_schedule"]
