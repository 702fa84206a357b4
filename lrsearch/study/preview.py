"""The answer about a study that is not there yet: what it would ask for, and what its schedules look like."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue

from ..frozen import Frozen, Natural, Positive, Real
from ..schedules import AnySchedule
from .spec import StudySpec
from .text import Text


class Cost(Frozen):
    """What a study will ask for, before it starts."""

    trials: int | None
    """None where only epochs or hours limit it."""
    epochs_asked: int | None
    epochs_distinct: int | None
    """Epochs that differ from all others: those that are trained. None where later suggestions depend on results, or
    where there are too many to count."""
    epochs_expected: int | None = None
    """Of the epochs asked, about how many there will be as rungs let only the best trials go on (among few trials some
    more go on); null without rungs."""


class SampleCurve(Frozen):
    """The rates of one of a study's first trials."""

    trial: Natural
    """Its number."""
    params: dict[str, JsonValue]
    """Empty for a baseline."""
    schedule: AnySchedule
    lr: tuple[float, ...]
    """The rate at each of the preview's `updates`; a metric-driven one as it is while its metric improves."""
    groups: Annotated[dict[str, tuple[float, ...]], Field(exclude_if=lambda value: not value)] = {}
    """The same of every parameter group with a rate of its own."""


class Preview(Cost):
    """A study before it is one: sample curves, what all curves lie between, costs and warnings."""

    spec: StudySpec
    """The spec with every default, as a study would store it."""
    cells: int | None = None
    """How many different schedules' parameters the space holds; null where something is continuous."""
    updates_per_epoch: Positive | None = None
    """U of the recipe; null for horizons in updates, external loops, and while nobody has offered the task."""
    drawn_per_epoch: Positive | None = None
    """The updates an epoch that curves are drawn with: U, else 100; null for horizons in updates."""
    seconds: Annotated[Real, Field(ge=0)] | None = None
    """Estimated seconds of training, one schedule after the other on one worker, from earlier studies of the same
    recipe here; null where there was none. Trained side by side it takes less."""
    looked_at: Natural = 0
    """How many schedules, from the first trial on, the envelope and the warnings are made of."""
    updates: tuple[Natural, ...] = ()
    """The updates at which curves are given, rising from 0."""
    low: tuple[float, ...] = ()
    """The lowest rate of all schedules looked at, at each of `updates`."""
    high: tuple[float, ...] = ()
    """The highest."""
    curves: tuple[SampleCurve, ...] = ()
    """The first trials."""
    warnings: tuple[Text, ...] = ()
