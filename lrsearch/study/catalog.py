"""The catalog's words: everything a spec may name, with what may be set on it."""

from __future__ import annotations

from pydantic import JsonValue

from ..frozen import Frozen
from .lease import TaskOffer


class Parameter(Frozen):
    """Something that may be set."""

    name: str
    help: str = ""
    required: bool = False
    default: JsonValue = None
    """What holds where nothing is said; null also where it is derived."""
    values: dict[str, JsonValue]
    """What is accepted, as JSON Schema: type, minimum, exclusiveMinimum, maximum, enum, ..."""


class Entry(Frozen):
    """Something that a spec may name."""

    name: str
    help: str
    parameters: tuple[Parameter, ...] = ()


class FamilyEntry(Entry):
    """A family of schedules."""

    formula: str
    """The share of the peak, in v (updates since the warm-up's end), D (updates from there to the horizon) and the
    parameters, lengths in updates."""
    search: dict[str, JsonValue]
    """What a space searches over where it does not name the parameter."""
    in_groups: bool = True
    """Whether it may be the schedule of a parameter group, in a space's ``groups``."""


class WarmupEntry(Entry):
    """A shape of warm-up."""

    formula: str
    """The share of the peak, in u (the update), W (the warm-up's updates) and s (``warmup_start``)."""
    starts_at_zero: bool
    """Whether ``warmup_start`` may be 0."""


class OptimizerEntry(Entry):
    """An optimiser."""

    initial_lr: dict[str, JsonValue]
    """What a space searches over where neither it nor the task says."""


class ExportEntry(Entry):
    """A framework or format that schedules are written for."""

    media_type: str
    needs_updates: bool
    """Whether a horizon in epochs must be turned into updates."""


class Catalog(Frozen):
    """Everything a spec may name."""

    tasks: tuple[TaskOffer, ...]
    families: tuple[FamilyEntry, ...]
    warmups: tuple[WarmupEntry, ...]
    optimizers: tuple[OptimizerEntry, ...]
    samplers: tuple[Entry, ...]
    pruners: tuple[Entry, ...]
    exports: tuple[ExportEntry, ...]
