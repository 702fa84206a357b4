"""Adaptive warm-up: a ramp that shortens while the metric improves and lengthens while it does not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from ..frozen import Real
from .formula import FloatArray, Formula
from .length import Length
from .metric_driven import MetricDriven
from .schedule import Clock

DECAYS: Mapping[str, Formula] = MappingProxyType(
    {
        "constant": Formula("1"),
        "linear": Formula("final_factor + (1 - final_factor) * (D - v) / D"),
        "cosine": Formula("final_factor + (1 - final_factor) * sin(pi * (D - v) / (2 * D)) ** 2"),
    }
)
"""What follows the ramp, as shares of the peak in ``v`` (updates since its end) and ``D`` (those to the horizon)."""


class Ramp(NamedTuple):
    """Where an adaptive ramp stands when an interval begins."""

    begin: int
    """The interval's first update."""
    done: float
    """How much of the ramp is done there, in [0, 1]."""
    end: int
    """The update at which it will be done at the present pace."""
    best: float


class AdaptiveWarmup(MetricDriven):
    """A ramp planned for ``warmup`` that looks at the metric after every interval, then a decay to the horizon.

    The ramp goes from ``warmup_start`` to the peak along ``warmup_shape`` as its progress p goes from 0 to 1. At the
    end of each interval but the first (update t, while p < 1) what is left of the ramp changes::

        end - t  <-  (end - t) / adapt     if the metric improved          (the ramp was slower than it had to be)
        end - t  <-  (end - t) * adapt     if it did not, or was not finite

    within ``warmup / stretch <= end <= warmup * stretch`` and before the horizon, and p goes on evenly from where it
    stands to 1 at ``end``. After the ramp the rate follows ``decay_shape`` from the peak to ``final_factor`` at the
    horizon. Short intervals (``eval_every``) let it react sooner.

    The rule is ours; that a warm-up may be ended by what the training shows is common practice (e.g. Gilmer et al.,
    arXiv 2110.04369: the warm-up lets the curvature fall far enough for the rate).
    """

    HELP: ClassVar[str] = "a warm-up that shortens while the metric improves and lengthens while it does not"
    RULE: ClassVar[str] = "what is left of the ramp / adapt after an improvement, * adapt without one; then decay_shape"
    SEARCH: ClassVar[Mapping[str, Any]] = {"warmup": {"low": "5%", "high": "20%"}}

    family: Literal["adaptive_warmup"] = "adaptive_warmup"
    warmup: Annotated[Length, Field(gt=0)]
    """How long the ramp is planned to be."""
    adapt: Annotated[Real, Field(ge=1, le=100)] = 2.0
    """The factor by which what is left of the ramp shortens or lengthens at the end of an interval."""
    stretch: Annotated[Real, Field(ge=1, le=1000)] = 4.0
    """The ramp ends at most this many times sooner or later than planned."""
    decay_shape: Literal["constant", "linear", "cosine"] = "cosine"
    """What follows the ramp."""

    def _begin(self, clock: Clock) -> Ramp:
        return Ramp(0, 0.0 if clock.warmup else 1.0, clock.warmup, self.worst)

    def _progress(self, pace: Ramp, u: FloatArray) -> FloatArray:
        left = max(1, pace.end - pace.begin)
        progress: FloatArray = pace.done + (1 - pace.done) * (u - pace.begin) / left
        return progress

    def _advance(self, pace: Ramp, measured: float, end: int, clock: Clock) -> Ramp:
        if end >= pace.end:
            return pace
        better = self.improves(measured, pace.best)
        left = float(pace.end - end)
        if not math.isinf(pace.best):
            left = left / self.adapt if better else left * self.adapt
        latest = min(clock.horizon - 1, round(clock.warmup * self.stretch))
        soonest = max(end + 1, round(clock.warmup / self.stretch))
        ends = min(latest, max(soonest, end + round(left)))
        best = measured if better else pace.best
        if ends == pace.end:
            return pace._replace(best=best)
        return Ramp(end, float(self._progress(pace, np.array(float(end)))), ends, best)

    def _paced(self, pace: Ramp, u: FloatArray, clock: Clock) -> FloatArray:
        share, warm = np.empty_like(u), u < pace.end
        share[warm] = self._ramp(self._progress(pace, u[warm]), 1)
        decay = DECAYS[self.decay_shape]
        v, length = u[~warm] - pace.end, float(clock.horizon - pace.end)
        share[~warm] = np.maximum(self.final_factor, decay(v=v, D=length, final_factor=self.final_factor))
        return share

    def _settled(self, pace: Ramp, n_intervals: int, clock: Clock) -> float:
        interval = self._interval(clock)
        if pace.end <= (n_intervals + 1) * interval:
            return math.inf
        return 2 if math.isinf(pace.best) else 1  # what is measured first changes nothing
