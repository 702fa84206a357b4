"""Comparisons: samplers against each other at equal budget."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..frozen import Frozen, Positive
from .spec import NamedSampler, StudySpec
from .text import Name


class Arm(Frozen):
    """One contender."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,29}$")]
    sampler: NamedSampler


class ComparisonSpec(Frozen):
    """Arms over one task and space, each repeated with fresh sampler seeds and paired training seeds."""

    name: Annotated[Name, Field(max_length=50)] | None = None
    spec: StudySpec
    """Its sampler is replaced by each arm's; its name is not used."""
    arms: Annotated[tuple[Arm, ...], Field(min_length=2, max_length=10, fail_fast=True)]
    repeats: Annotated[Positive, Field(le=200)] = 10

    @model_validator(mode="after")
    def _check_arms(self) -> Self:
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError(f"arms have different names (got {', '.join(names)})")
        if self.spec.external:
            raise ValueError("a comparison trains by itself: task external cannot be compared")
        if self.spec.space.declarations.get("initial_lr") == "auto":
            raise ValueError("arms search one space: give `initial_lr` a range (a range test finds one), not auto")
        return self


class Curve(Frozen):
    """Best value so far, over what was spent: the mean over repeats with a 95 % bootstrap band."""

    x: tuple[float, ...]
    mean: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


class ArmResult(Frozen):
    """What one arm reached."""

    name: str
    final_values: tuple[float | None, ...]
    """Best value at the end, a repeat each; null where no trial completed."""
    median: float | None
    by_trials: Curve
    by_epochs: Curve


class Duel(Frozen):
    """Two arms against each other on the final values, paired by repeat."""

    a: str
    b: str
    probability_a_better: float
    """Share of repeats in which a ends better than b, ties counted half."""
    p_value: float
    """Two-sided Wilcoxon signed-rank test, Holm-adjusted over all pairs."""
    verdict: str
    """In words: which arm is better, or "no significant difference"."""


class ComparisonResult(Frozen):
    """What the finished repeats say."""

    finished_repeats: int
    arms: tuple[ArmResult, ...]
    duels: tuple[Duel, ...]
    verdict: str


class Comparison(Frozen):
    """A comparison and where it stands."""

    name: str
    owner: str
    state: Literal["queued", "running", "completed", "failed", "cancelled"]
    spec: ComparisonSpec
    studies: tuple[str, ...]
    """The studies it is made of, arm by arm."""
    progress: dict[str, int]
    """Number of studies by state."""
    result: ComparisonResult | None = None
    created_at: datetime
