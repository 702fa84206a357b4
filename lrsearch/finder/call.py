"""A range test of anybody's update function."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from ..errors import InvalidInput
from ..study import RangeTestResult, SweepSpec
from .reading import SMOOTHING, read
from .sweep import STOP_FACTOR, swept


def range_test(
    update: Callable[[float], Any],
    low: float = 1e-6,
    high: float = 10.0,
    updates: int = 100,
    *,
    batches_per_rate: int = 1,
    sweep: Literal["exponential", "linear"] = "exponential",
    smoothing: float = SMOOTHING,
    stop_factor: float = STOP_FACTOR,
) -> RangeTestResult:
    """Call ``update`` with rising rates, and read from its losses which rates are good.

    ``update(lr)`` makes one optimiser update with the rate ``lr`` (over several small batches, if you accumulate
    gradients) and answers the loss it had before. It changes your model: train a copy, or put the state back
    afterwards; ``lrsearch.torch_range_test`` does that for PyTorch.

    Args:
        update: any framework's; answers a float or what ``float()`` takes. NaN ends the test.
        low: the first rate, > 0.
        high: the last rate, > low.
        updates: updates in all; at least 20 rates must come of them.
        batches_per_rate: updates with the same rate, whose mean loss counts, >= 1.
        sweep: rates evenly spaced in their logarithm, or evenly.
        smoothing: standard deviation of the smoothing window as a share of the rates, in [0, 1]; 0 = none.
        stop_factor: the test ends where the running loss is so many times its best, > 1.

    Returns:
        The curve, every rule's suggestion, their spread, the edge where training gets lost, a range for
        ``initial_lr``, all in words; ``.plot("range.png")``.

    Raises:
        InvalidInput: an argument breaks a law.
    """
    fields = {"low": low, "high": high, "updates": updates, "batches_per_rate": batches_per_rate, "sweep": sweep}
    spec = SweepSpec.read(fields)
    if not 0 <= smoothing <= 1:
        raise InvalidInput(f"0 <= smoothing <= 1 must hold (got {smoothing})", field="smoothing")
    if not stop_factor > 1:
        raise InvalidInput(f"stop_factor > 1 must hold (got {stop_factor})", field="stop_factor")

    def losses(rate: float, n_updates: int) -> float:
        total = 0.0
        for _ in range(n_updates):
            total += float(update(rate))
            if not math.isfinite(total):
                break
        return total / n_updates

    return read(swept(losses, spec, stop_factor), smoothing)
