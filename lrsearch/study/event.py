"""What happened in a study, as it is told to whoever follows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, ClassVar

from pydantic import Field

from ..frozen import Frozen, Natural
from .text import Metric, Text
from .trial import Absent, Best, Progress, StudyState, TrialState


class Event(Frozen):
    """Something that happened. ``id`` rises in the order in which things were stored; following goes on after one."""

    KIND: ClassVar[str]

    id: Natural
    at: datetime
    """When, by the database's clock."""


class StudyEvent(Event):
    """A study came into a state."""

    KIND = "study"

    state: StudyState
    error: Annotated[Text | None, Absent] = None


class TrialsEvent(Event):
    """Trials came into a state together: started, waiting at a rung, promoted from there, or ended."""

    KIND = "trials"

    state: TrialState
    trials: Annotated[tuple[Natural, ...], Field(max_length=1000)]
    """Their numbers, rising."""
    values: Annotated[tuple[Metric, ...] | None, Absent] = None
    """What they were worth, where they completed."""
    worker: Annotated[str | None, Absent] = None
    """Who has them, where they run."""
    was: Annotated[TrialState | None, Absent] = None
    """``waiting``, where they were promoted or pruned at a rung."""


class BestEvent(Event):
    """Another trial is the best now."""

    KIND = "best"

    trial: Natural
    value: float


class WarningEvent(Event):
    """There is something new among the study's warnings."""

    KIND = "warning"

    text: Text


class ProgressEvent(Event):
    """Where the study stands. It is worked out when somebody follows; its ``id`` is that of the last event before."""

    KIND = "progress"

    state: StudyState
    progress: Progress
    best: Best | None = None


class ResetEvent(Event):
    """Events up to this one are no longer kept: look at the study anew."""

    KIND = "reset"


AnyEvent = StudyEvent | TrialsEvent | BestEvent | WarningEvent | ProgressEvent | ResetEvent
EVENTS: Mapping[str, type[AnyEvent]] = MappingProxyType(
    {kind.KIND: kind for kind in (StudyEvent, TrialsEvent, BestEvent, WarningEvent, ProgressEvent, ResetEvent)}
)
"""Every kind of event by its name on the wire."""
