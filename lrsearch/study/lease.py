"""Leases and reports: how work travels to workers and results travel back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, JsonValue

from ..frozen import AtMost, Frozen, Natural, Positive, Real
from ..schedules import AnySchedule
from .range_test import SweepLosses, SweepSpec
from .spec import BatchSize, Direction
from .stop import Stop
from .text import FreeJson, Name, Text
from .trial import Absent, Checkpoint, Divergence, Point, Purpose, StudyState

WorkerId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$")]


class TaskDefaults(Frozen):
    """What a task supplies where a spec is silent."""

    optimizer: FreeJson | str = "adam"
    batch_size: BatchSize = 64
    initial_lr: FreeJson | None = None
    """The declaration of `initial_lr` in a space; None = the optimiser's."""


class TaskOffer(Frozen):
    """A task as a worker announces it and the catalog lists it."""

    name: Name
    version: Text = "1"
    help: Text = ""
    train_examples: Positive | None = None
    examples_option: Text | None = None
    """The option that says how many training examples there are, where the options choose the data."""
    metrics: Annotated[dict[str, Direction], AtMost(100)] = {}
    """Each metric's direction; the first is the default objective."""
    options_schema: FreeJson = {}
    """JSON Schema of the options, with their defaults."""
    defaults: TaskDefaults = TaskDefaults()
    has_test: bool = False
    """Whether it holds test data for the winner's `test_*` metrics."""
    optimizers: Annotated[tuple[str, ...], Field(fail_fast=True)] | None = None
    """The optimisers it can be trained with; None = all."""

    def examples(self, options: Mapping[str, JsonValue]) -> int | None:
        """How many examples it trains on with these options; None where it does not say."""
        if self.examples_option is None:
            return self.train_examples
        said = options.get(self.examples_option)
        return said if isinstance(said, int) and said > 0 else None


class LeaseRequest(Frozen):
    """A worker asks for work."""

    worker: WorkerId
    hold: Annotated[Natural, Field(le=10_000)]
    """How many trials it wants to hold; 0 = just say hello."""
    study: Name | None = None
    """Only this study; needed for external ones."""
    tasks: Annotated[tuple[TaskOffer, ...], Field(max_length=1000, fail_fast=True)] | None = None
    """The tasks it can train; None = those of the built-in catalog."""
    device: Text | None = None
    versions: Annotated[dict[Text, Text], AtMost(64)] = {}


class Attempt(NamedTuple):
    """One attempt at one trial."""

    study: str
    trial: int
    attempt: int


class Assignment(Frozen):
    """One trial to train, held by a lease."""

    study: str
    trial: Natural
    attempt: Positive
    purpose: Purpose = "trial"
    seeds: tuple[Natural, ...] = (0,)
    reported: Natural = 0
    """Epochs that every seed has reported already."""
    recipe: FreeJson
    """task, options, optimizer, batch_size, clip_norm, precision; for external: task and options."""
    schedule: AnySchedule
    params: FreeJson = {}
    until_epoch: Positive
    """Reporting intervals to train, counted from the start."""
    sweep: Annotated[SweepSpec | None, Absent] = None
    """The rates of a range test; `schedule` then only says how many updates it has."""
    stop: Annotated[Stop | None, Absent] = None
    """When to end earlier; a worker that does not know it is told to stop."""

    @property
    def key(self) -> Attempt:
        """What it is an attempt at."""
        return Attempt(self.study, self.trial, self.attempt)


class Lease(Frozen):
    """A worker's time-limited right to some trials."""

    lease: str
    expires_at: datetime
    heartbeat_seconds: float
    assignments: tuple[Assignment, ...] = ()
    study_state: StudyState | None = None
    """The state of the study that the request named; once it has ended, there is nothing more to ask for."""
    warnings: tuple[str, ...] = ()


class Result(Frozen):
    """How a trial ended."""

    state: Literal["completed", "diverged", "failed"]
    error: Text | None = None
    value: Real | None = None
    """External trials only: the objective itself."""
    diverged_at: Divergence | None = None
    checkpoint: Annotated[Checkpoint | None, Absent] = None
    sweep: Annotated[SweepLosses | None, Absent] = None
    """Completed range tests only: what was measured."""


class Report(Frozen):
    """What happened to one trial since the last report."""

    study: Name
    trial: Natural
    attempt: Positive
    points: Annotated[tuple[Point, ...], Field(max_length=10_000, fail_fast=True)] = ()
    result: Result | None = None
    update_seconds: Annotated[Real, Field(gt=0)] | None = None
    """Seconds that one update of the plain loop takes where the trial is trained, where that was measured."""
    note: Text | None = None
    """What people should know of how the trial is trained there; becomes a warning of the study, once."""

    @property
    def key(self) -> Attempt:
        """What it reports on."""
        return Attempt(self.study, self.trial, self.attempt)


class ReportRequest(Frozen):
    """A batch of reports; an empty one is the heartbeat."""

    hold: Annotated[Natural, Field(le=10_000)] | None = None
    """As in the lease request; None = unchanged."""
    reports: Annotated[tuple[Report, ...], Field(max_length=10_000, fail_fast=True)] = ()
    wait_seconds: Annotated[Real, Field(ge=0, le=30)] = 0.0
    """Over HTTP: how long the answer may be kept back until there is something to tell: a trial to train, a directive,
    the study's end."""


class Directive(Frozen):
    """What to do with a held trial; after ``stop`` and ``wait`` no result is sent."""

    study: str
    trial: int
    do: Literal["stop", "wait", "continue"]
    why: str
    until_epoch: int | None = None


class Rejected(Frozen):
    """A report that was not taken."""

    study: str
    trial: int
    attempt: int
    reason: str


class ReportAnswer(Frozen):
    """The answer to a batch of reports."""

    expires_at: datetime
    assignments: tuple[Assignment, ...] = ()
    directives: tuple[Directive, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    study_state: StudyState | None = None
    """As in the lease's answer."""
    warnings: tuple[str, ...] = ()


class Worker(Frozen):
    """A worker the service has heard of."""

    worker: str
    state: Literal["idle", "busy", "gone"]
    device: str | None = None
    versions: dict[str, str] = {}
    tasks: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    """``study/trial`` of what it holds."""
    last_seen: datetime
