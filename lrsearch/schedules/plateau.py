"""Plateau: lower the rate when a metric stops improving."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from ..frozen import Real
from .formula import FloatArray
from .length import Length
from .metric_driven import MetricDriven
from .schedule import Clock, Schedule


class Waited(NamedTuple):
    """What a plateau schedule remembers: its share of the peak, the best value, and what it counts."""

    share: float
    best: float
    bad: int = 0
    """Intervals in a row without an improvement."""
    cooling: int = 0
    """Intervals of the cooldown that are left."""


class Plateau(MetricDriven):
    """``lr = initial_lr * share``; after ``patience`` intervals without an improvement the next one lowers it.

    At the end of every interval (those that end in the warm-up aside)::

        bad      = 0 if the metric improved or a cooldown lasts, else bad + 1
        share    = min(1, share * raise_factor)                  if the metric improved
        share    = max(final_factor, share * decay_rate)         if bad > patience; then bad = 0, a cooldown begins

    Agrees with ``torch.optim.lr_scheduler.ReduceLROnPlateau(mode=direction, factor=decay_rate,
    min_lr=final_factor * initial_lr, eps=0)``, stepped once an interval; torch has no ``raise_factor``. A metric that
    is not finite is never an improvement.
    """

    HELP: ClassVar[str] = "multiplied by decay_rate when the metric has not improved for longer than patience"
    RULE: ClassVar[str] = "share * decay_rate after patience intervals without an improvement"
    MONOTONE: ClassVar[bool] = False
    EVENTS: ClassVar[tuple[str, ...]] = ("patience",)
    MAY_BE_ZERO: ClassVar[frozenset[str]] = Schedule.MAY_BE_ZERO | {"patience", "cooldown"}
    SEARCH: ClassVar[Mapping[str, Any]] = {
        "decay_rate": {"low": 0.1, "high": 0.7, "num": 4},
        "patience": {"low": "5%", "high": "30%"},
    }

    family: Literal["plateau"] = "plateau"
    decay_rate: Annotated[Real, Field(gt=0, le=1)]
    """The factor of every reduction, in (0, 1]."""
    patience: Length
    """How long the metric may fail to improve before the rate falls; whole reporting intervals."""
    cooldown: Length = 0.0
    """How long after a reduction nothing is counted; whole reporting intervals."""
    raise_factor: Annotated[Real, Field(ge=1)] = 1.0
    """The rate is multiplied by this whenever the metric improves, up to the peak; 1 = never raised."""

    def _intervals(self, length: float) -> int:
        return math.floor(length / (self.eval_every or 1) + 0.5)

    def _begin(self, clock: Clock) -> Waited:
        return Waited(1.0, self.worst)

    def _advance(self, pace: Waited, measured: float, end: int, clock: Clock) -> Waited:
        if end <= clock.warmup:
            return pace
        share, best, bad, cooling = pace
        if self.improves(measured, best):
            best, bad, share = measured, 0, min(1.0, share * self.raise_factor)
        else:
            bad += 1
        if cooling > 0:
            cooling, bad = cooling - 1, 0
        if bad > self._intervals(self.patience):
            share, bad = max(self.final_factor, share * self.decay_rate), 0
            cooling = self._intervals(self.cooldown)
        return Waited(share, best, bad, cooling)

    def _paced(self, pace: Waited, u: FloatArray, clock: Clock) -> FloatArray:
        share = np.full_like(u, max(self.final_factor, pace.share))
        warm = u < clock.warmup
        share[warm] = self._ramp(u[warm], clock.warmup or 1)
        return share

    def _settled(self, pace: Waited, n_intervals: int, clock: Clock) -> float:
        share = max(self.final_factor, pace.share)
        may_fall = max(self.final_factor, share * self.decay_rate) < share
        may_rise = self.raise_factor > 1 and share < 1
        if not may_fall and not may_rise:
            return math.inf
        unseen = max(0, clock.warmup // self._interval(clock) - n_intervals)
        # the soonest reduction: the cooldown, then one interval more than the patience without an improvement
        soonest = 1 if may_rise else pace.cooling + self._intervals(self.patience) + 1 - pace.bad
        return unseen + soonest
