"""Trials, their points, and the answers about studies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import ConfigDict, Field, JsonValue

from ..frozen import AtMost, Flag, Frozen, Natural, Positive, Real
from ..schedules import AnySchedule
from .diagnosis import Diagnostics
from .spec import Budget, StudySpec
from .text import FreeJson, Metric, Text

TrialState = Literal["queued", "running", "waiting", "completed", "pruned", "diverged", "failed", "cancelled"]
"""queued: to be handed out; running: held by a lease; waiting: paused at a rung with its state kept; the others end."""
TERMINAL: frozenset[str] = frozenset({"completed", "pruned", "diverged", "failed", "cancelled"})
"""The states that never change again."""
StudyState = Literal["queued", "running", "paused", "completed", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled"})
"""The states of a study that is over."""
Origin = Literal["sampler", "baseline", "enqueued", "imported"]
Purpose = Literal["trial", "confirm", "test", "range_test"]
"""Why something is trained: for a trial's value, to confirm it on fresh seeds, to measure the winner's test metrics;
or, no trial at all, to see which rates are good."""


Absent = Field(exclude_if=lambda value: value is None)
"""On the wire, what was not measured is absent; null means that it was not finite."""


class Point(Frozen):
    """One finished epoch (reporting interval) of one seed."""

    epoch: Annotated[Positive | None, Absent] = None
    """Finished epochs, from 1."""
    update: Annotated[Positive | None, Absent] = None
    """Finished updates; instead of `epoch` where the horizon is in updates."""
    seed: Annotated[Natural | None, Absent] = None
    """Defaults to the assignment's only seed."""
    shared: Flag = False
    """Whether it was taken from a stored prefix instead of trained."""
    lr_first: Annotated[Metric, Absent] = None
    lr_last: Annotated[Metric, Absent] = None
    seconds: Annotated[Annotated[Real, Field(ge=0, le=1e9)] | None, Absent] = None
    metrics: Annotated[dict[Annotated[str, Field(max_length=100)], Metric], AtMost(100)]
    """null = was not finite."""
    diagnostics: Annotated[Diagnostics | None, Absent] = None


class Divergence(Frozen):
    """Where a training left the finite numbers (or its bound)."""

    update: Natural
    lr: Metric = None


class Checkpoint(Frozen):
    """Where a trial's weights are stored, and how a model's state dict differs from what is stored of it."""

    keys: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{16,128}$")], ...], Field(max_length=100, fail_fast=True)
    ]
    """The key of the stored state at the trial's end, of every seed."""
    tied: Annotated[dict[Text, Text], AtMost(10_000)] = {}
    """Weights that have a second name: that name, and the one they are stored by."""
    left_out: Annotated[tuple[Text, ...], Field(max_length=10_000, fail_fast=True)] = ()
    """Buffers that are stored and no part of a state dict."""


class EpochCounts(Frozen):
    """Epochs a seed: ``trained`` includes those ``repeated`` after a lost attempt; ``shared`` were not trained."""

    trained: Natural = 0
    shared: Natural = 0
    repeated: Natural = 0


class Confirmed(Frozen):
    """A trial's objective on fresh seeds."""

    mean: Metric
    std: Metric
    seeds: tuple[int, ...]


class Trial(Frozen):
    """One schedule and what came of it."""

    number: Natural
    state: TrialState = "queued"
    value: float | None = None
    """The objective's metric at the last epoch, mean over seeds; null unless completed or imported."""
    values: tuple[Metric, ...] = ()
    """The same, a seed each."""
    metrics: dict[str, Metric] = {}
    """The last epoch's metrics, mean over seeds."""
    params: dict[str, JsonValue] = {}
    schedule: AnySchedule
    origin: Origin = "sampler"
    epochs: EpochCounts = EpochCounts()
    attempts: Natural = 0
    worker: str | None = None
    error: Text | None = None
    diverged_at: Divergence | None = None
    stopped_at: Positive | None = None
    """The epoch with which early stopping completed it; null where it went to its horizon."""
    seconds: float = 0.0
    """Seconds of training reported."""
    retry_of: Natural | None = None
    confirmed: Confirmed | None = None
    test: dict[str, Metric] | None = None
    plan_key: str | None = None
    """The key of the whole trajectory: trials with equal keys train the same curve. Null where U is unknown."""
    root: Annotated[str | None, Field(exclude=True)] = None
    """The key after the first epoch: trials with equal ones share at least that. None where U is unknown."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    purpose: Annotated[Purpose | None, Field(exclude=True)] = None
    """What is still to be done on it; None = nothing."""
    lease: Annotated[str | None, Field(exclude=True)] = None
    """Who holds it."""
    heard: Annotated[int, Field(exclude=True)] = 0
    """The newest attempt that has reported."""
    checkpoint: Annotated[Checkpoint | None, Field(exclude=True)] = None
    """Its weights, where the worker that trained it stored them."""
    lost: Annotated[int, Field(exclude=True)] = 0
    """How many of its workers were lost."""
    killed: Annotated[int, Field(exclude=True)] = 0
    """How many of them soon after they got it, while they had nothing else."""
    handed_at: Annotated[datetime | None, Field(exclude=True)] = None
    """When its last worker got it."""
    promoted_at: Annotated[datetime | None, Field(exclude=True)] = None
    """When it last went on from a rung."""
    let_on: Annotated[bool, Field(exclude=True)] = False
    """Whether it trains to its horizon whatever rungs say: it went on as no more were to begin, and then some were."""

    @property
    def terminal(self) -> bool:
        """Whether its state never changes again."""
        return self.state in TERMINAL


class Outcome(NamedTuple):
    """What a sampler or pruner needs to know of a trial."""

    number: int
    state: TrialState
    value: float | None
    params: dict[str, Any]
    origin: Origin
    mark: int = 0
    """The rung at which the value was measured, where it was not at the horizon."""


class EpochProgress(Frozen):
    """Epochs over all trials and seeds: asked = trained - repeated + shared."""

    asked: Natural = 0
    trained: Natural = 0
    shared: Natural = 0
    repeated: Natural = 0


class Seconds(Frozen):
    """Wall-clock seconds of a study."""

    elapsed: float = 0.0
    left: float | None = None


class Progress(Frozen):
    """How far a study is."""

    trials: dict[str, int] = {}
    """Number of trials by state."""
    epochs: EpochProgress = EpochProgress()
    seconds: Seconds = Seconds()
    cost_in_trainings: float | None = None
    """Seconds elapsed over those of one training of the recipe alone, with the same metrics; null until measured."""


class Best(Frozen):
    """A completed trial among the best, with all it takes to train it again."""

    study: str
    trial: Natural
    value: float
    params: dict[str, JsonValue]
    schedule: AnySchedule
    recipe: FreeJson
    updates_per_epoch: Positive | None
    confirmed: Confirmed | None = None
    test: dict[str, Metric] | None = None
    baseline_value: float | None = None
    """The best baseline's value, to compare with."""


class Study(Frozen):
    """A study and where it stands."""

    name: str
    owner: str
    state: StudyState
    spec: StudySpec
    progress: Progress = Progress()
    best: Best | None = None
    warnings: tuple[str, ...] = ()
    error: Text | None = None
    updates_per_epoch: int | None = None
    """U of its recipe; null while no worker has offered its task, and for horizons in updates or external loops."""
    comparison: str | None = None
    """The comparison it is part of."""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    update_seconds: Annotated[float | None, Field(exclude=True)] = None
    """Seconds of one update of the plain loop on the fastest of its workers; null until measured."""
    submitted: Annotated[StudySpec | None, Field(exclude=True)] = None
    """The spec as it came, before anything was filled in."""
    resolved: Annotated[bool, Field(exclude=True)] = False
    """Whether its task's defaults have been filled in."""
    redrawn: Annotated[int, Field(exclude=True)] = 0
    """How often trials that nobody had begun were dropped, to be drawn anew: what was remembered of them is void."""


class StudyPatch(Frozen):
    """What may change in a study: absolute values."""

    budget: Budget | None = None
    labels: Annotated[dict[Text, Text], AtMost(64)] | None = None


class TrialRequest(Frozen):
    """A trial to add: ``params`` or ``schedule`` to train (with ``value``: to import), or ``retry`` of a number."""

    params: FreeJson | None = None
    schedule: FreeJson | None = None
    retry: Natural | None = None
    value: Real | None = None


Item = TypeVar("Item")


class Page(Frozen, Generic[Item]):
    """Some items, and where the next ones begin."""

    # made again for every kind of item, and each time pydantic would look for docstrings in all modules that are loaded
    model_config = ConfigDict(use_attribute_docstrings=False)

    items: tuple[Item, ...]
    next: str | None = None
