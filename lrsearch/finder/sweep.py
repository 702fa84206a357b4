"""The sweep: any update function called with rising rates until its loss is lost."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..schedules import FloatArray
from ..study import SweepLosses, SweepSpec

MEMORY = 0.9
"""Share of the running loss that the next rate keeps; the early ones are weighed as if there had been others."""
STOP_FACTOR = 4.0
"""The sweep ends where the running loss exceeds this many times its best (fastai's rule)."""
Update = Callable[[float], float]


def rates_of(spec: SweepSpec) -> FloatArray:
    """The rates of a sweep, rising, float64 of shape (n_rates,); the first is ``low``, the last is ``high``."""
    space = np.geomspace if spec.sweep == "exponential" else np.linspace
    rates: FloatArray = space(spec.low, spec.high, spec.n_rates)
    return rates


def swept(losses: Callable[[float, int], float], spec: SweepSpec, stop_factor: float = STOP_FACTOR) -> SweepLosses:
    """Try rate after rate, until the loss is not finite or has risen far above its best.

    The running loss is the mean over past rates with weights 0.9^age. For losses near or below 0, where four times
    the best means nothing, half the fall so far takes the place of the best's size where that is larger.

    Args:
        losses: trains some updates with a rate; their mean loss.
        spec: the rates.
        stop_factor: > 1.
    """
    tried, measured = [], []
    weighed = weight = 0.0
    first = best = math.inf
    for rate in rates_of(spec).tolist():
        loss = float(losses(rate, spec.batches_per_rate))
        tried.append(rate)
        measured.append(loss if math.isfinite(loss) else None)
        if not math.isfinite(loss):
            break
        weighed, weight = MEMORY * weighed + loss, MEMORY * weight + 1
        running = weighed / weight
        first = first if math.isfinite(first) else running
        best = min(best, running)
        if running > best + (stop_factor - 1) * max(abs(best), (first - best) / 2):
            break
    return SweepLosses(lr=tuple(tried), loss=tuple(measured))
