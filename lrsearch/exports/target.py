"""What an export is: a target with a name and a writer, what the writer is told, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..schedules import FloatArray, History, Schedule

MOMENTUM = frozenset({"momentum_at_peak", "momentum_at_low"})
"""What a target can express that moves momentum with the rate."""
GROUPS = frozenset({"groups"})
"""What a target can express that gives parameter groups rates of their own."""


@dataclass(frozen=True)
class Export:
    """A schedule as text or data.

    Attributes:
        content: what was written; text is UTF-8.
        media_type: what it is, for HTTP's ``Content-Type``.
    """

    content: bytes
    media_type: str

    @property
    def is_text(self) -> bool:
        """Whether people can read it."""
        return self.media_type.startswith("text/") or self.media_type == "application/json"

    @property
    def text(self) -> str:
        """The content as text; ``UnicodeDecodeError`` where it is none."""
        return self.content.decode()


@dataclass(frozen=True)
class ExportContext:
    """What a writer may say besides the schedule.

    Attributes:
        updates_per_epoch: optimiser updates an epoch, >= 1; known wherever the target needs it.
        study: the study's name.
        trial: the trial's number.
        recipe: what the schedule was found for: task, optimizer, batch_size, ...; empty = not known.
        rescaled: how the schedule differs from the one that was found, in words.
        history: what the trial measured, interval by interval: a metric-driven schedule is exported as the curve that
            it really took.
    """

    updates_per_epoch: int | None = None
    study: str | None = None
    trial: int | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    rescaled: Sequence[str] = ()
    history: History = ()

    @property
    def source(self) -> str:
        """Where the schedule is from, in words: ``"study mnist-step, trial 12"``; empty if nobody said."""
        named = (("study", self.study), ("trial", self.trial))
        return ", ".join(f"{word} {value}" for word, value in named if value is not None)

    @property
    def modules(self) -> Mapping[str, Sequence[str]]:
        """The modules of each parameter group, where the recipe says them."""
        return self.recipe.get("groups") or {}

    def ended(self, schedule: Schedule) -> int | None:
        """The reporting intervals after which a metric-driven schedule's trial ended early; None where it did not.

        One whose remaining rates nothing can change any more is known to its end, wherever its trial stopped.
        """
        if not schedule.METRIC_DRIVEN or not self.history:
            return None
        n_intervals = -(-schedule.clock(self.updates_per_epoch).horizon // self._interval(schedule))
        known = schedule.foreseen(self.updates_per_epoch, self.history)
        return None if known >= n_intervals else len(self.history)

    def _interval(self, schedule: Schedule) -> int:
        return schedule.updates_per_interval(self.updates_per_epoch)

    def horizon(self, schedule: Schedule) -> int:
        """The updates that are written: H, or those of a metric-driven schedule until its trial ended."""
        intervals = self.ended(schedule)
        whole = schedule.clock(self.updates_per_epoch).horizon
        return whole if intervals is None else min(whole, intervals * self._interval(schedule))

    def table(self, schedule: Schedule) -> FloatArray:
        """The rate of every update that is written, shape (H,)."""
        return schedule.lr(np.arange(self.horizon(schedule)), self.updates_per_epoch, history=self.history)


@dataclass(frozen=True)
class ExportTarget:
    """A framework or format that schedules are written for.

    Attributes:
        name: its name in a request.
        help: one line for the catalog.
        media_type: what is written.
        needs_updates: whether a horizon in epochs must be turned into updates.
        write: the writer.
        wider: the parameters beyond the rate's that it can express (``Schedule.wider``); a schedule that uses others
            is refused.
    """

    name: str
    help: str
    media_type: str
    needs_updates: bool
    write: Callable[[Schedule, ExportContext], str | bytes]
    wider: frozenset[str] = frozenset()
