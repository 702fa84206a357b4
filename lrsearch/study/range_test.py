"""Learning-rate range tests: a short training whose rate rises, and what its loss says about good rates."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..frozen import Frozen, Positive, Real
from .space import Range
from .spec import EXTERNAL, TrainSpec
from .text import FreeJson, Metric, Name, Text
from .trial import StudyState

MIN_RATES = 20
MAX_UPDATES = 10_000

Rate = Annotated[Real, Field(gt=0)]
Tried = Annotated[Real, Field(ge=1e-30, le=1e30)]
"""A rate of a sweep: what is read from its curve, ratios of rates among it, stays finite and above 0."""


class SweepSpec(Frozen):
    """Which rates are tried: from ``low`` to ``high``, each for ``batches_per_rate`` updates."""

    low: Tried = 1e-6
    high: Tried = 10.0
    updates: Annotated[Positive, Field(le=MAX_UPDATES)] = 100
    """Optimiser updates in all."""
    batches_per_rate: Positive = 1
    """Updates with the same rate; their mean loss is the rate's."""
    sweep: Literal["exponential", "linear"] = "exponential"
    """Rates evenly spaced in their logarithm, or evenly."""

    @model_validator(mode="after")
    def _check_sweep(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"`low < high` must hold (got low {self.low:g}, high {self.high:g})")
        if self.n_rates < MIN_RATES:
            raise ValueError(
                f"a range test tries at least {MIN_RATES} rates: raise `updates`, or lower `batches_per_rate` "
                f"(got {self.updates} updates, {self.batches_per_rate} a rate)"
            )
        return self

    @property
    def n_rates(self) -> int:
        """How many rates are tried."""
        return self.updates // self.batches_per_rate


class RangeTestSpec(SweepSpec):
    """A range test of a registered task."""

    name: Name | None = None
    task: Name
    options: FreeJson = {}
    train: TrainSpec = TrainSpec()
    """The rest of the recipe; what is left out is the task's default."""

    @model_validator(mode="after")
    def _check_task(self) -> Self:
        if self.task == EXTERNAL:
            raise ValueError("a range test trains by itself: for your own loop, call lrsearch.range_test(update)")
        return self

    def recipe(self) -> FreeJson:
        """The recipe as an assignment carries it."""
        fields = self.train.model_dump(mode="json", exclude={"seed", "seeds"})
        return {"task": self.task, "options": self.options, **fields}


class SweepLosses(Frozen):
    """What a sweep measured, a rate each, in rising order."""

    lr: Annotated[tuple[Tried, ...], Field(max_length=MAX_UPDATES, fail_fast=True)]
    loss: Annotated[tuple[Metric, ...], Field(max_length=MAX_UPDATES, fail_fast=True)]
    """The training loss before each update with the rate, their mean; null = was not finite."""

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if len(self.lr) != len(self.loss):
            raise ValueError(f"`lr` and `loss` have one entry a rate (got {len(self.lr)} and {len(self.loss)})")
        if any(low >= high for low, high in zip(self.lr, self.lr[1:], strict=False)):
            raise ValueError("`lr` rises from entry to entry")
        return self


class RangeTestResult(SweepLosses):
    """A range test's curve, and what the rules that people know read from it."""

    smoothed: tuple[Metric, ...]
    """The loss smoothed, a rate each; null where it was not finite."""
    suggestions: dict[str, Rate | None]
    """A rate by rule: minimum, steepest, valley, slide; null where the rule finds none."""
    suggested: Rate | None
    """The rate to begin with; null where the loss never fell."""
    spread: Annotated[Real, Field(ge=1)] | None
    """The largest suggestion over the smallest."""
    confidence: Annotated[Real, Field(ge=0, le=1)]
    """0 = the loss never fell, 1 = it fell clearly, then rose, and the rules agree."""
    edge: Rate | None
    """The lowest rate at which training got lost: the loss rose again for good, or was not finite; null = none was."""
    initial_lr: Range | None
    """A range for a space's `initial_lr`."""
    verdict: str
    """All of it in words."""

    def plot(self, path: str | Path, *, title: str = "") -> None:
        """Draw the curve, the suggestions and the range into a PNG, SVG or PDF file, by the path's ending.

        Raises:
            InvalidInput: matplotlib is missing, or the path cannot be written.
        """
        from ..range_picture import paint

        paint(self, Path(path), title=title)


class RangeTest(Frozen):
    """A range test and where it stands."""

    name: str
    owner: str
    state: StudyState
    spec: RangeTestSpec
    study: str | None = None
    """The study that asked for it with `initial_lr: auto`."""
    result: RangeTestResult | None = None
    warnings: tuple[str, ...] = ()
    error: Text | None = None
    attempts: Annotated[int, Field(ge=0)] = 0
    worker: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
