"""The rules by which people read a rate from a range test's curve.

Each takes rates (rising, shape (n,)) and losses (finite, smoothed, shape (n,)) as float64, and answers a rate, or None
where the curve shows none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from ..schedules import FloatArray

Rule = Callable[[FloatArray, FloatArray], float | None]

SLIDE_WINDOW = 15
"""Points that the slide rule's window spans (fastai's ``lr_diff``)."""
SLIDE_THRESHOLD = 0.005
"""How far the slopes at a window's ends may differ for it to come to rest (fastai's ``thresh``)."""


def minimum(lr: FloatArray, loss: FloatArray) -> float | None:
    """A tenth of the rate with the lowest loss (fastai's ``minimum``)."""
    at = int(loss.argmin())
    return float(lr[at]) / 10 if at > 0 else None


def steepest(lr: FloatArray, loss: FloatArray) -> float | None:
    """The rate where the loss falls fastest in the logarithm of the rate: argmin of d loss / d log lr.

    Central differences; on an exponential sweep it is what torch-lr-finder suggests (``np.gradient(loss).argmin()``).
    Lightning differentiates by the rate itself instead, which favours the smallest rates.
    """
    slope = np.gradient(loss, np.log(lr))
    at = int(slope.argmin())
    return float(lr[at]) if slope[at] < 0 else None


def valley(lr: FloatArray, loss: FloatArray) -> float | None:
    """The point half-way through the longest valley, as fastai's ``valley`` (by ESRI; fastai PR #3377).

    The longest strictly falling subsequence of the losses ends at ``end`` and has n points; the valley is said to begin
    at end - n, and the rate lies at a third and a sixth of that span.
    """
    longest = np.ones(len(loss), dtype=int)
    for i in range(1, len(loss)):
        above = loss[:i] > loss[i]
        if above.any():
            longest[i] = longest[:i][above].max() + 1
    end = int(longest.argmax())
    if longest[end] == 1:
        return None
    start = end - int(longest[end])
    third = (end - start) / 3
    return float(lr[max(0, start + int(third) + int(third / 2))])


def slide(lr: FloatArray, loss: FloatArray) -> float | None:
    """Where a window that slides down from the highest rates comes to rest, as fastai's ``slide``.

    While the slopes at the two ends of a window of 15 points differ by more than 0.005, it moves one point to lower
    rates; its left end is the answer.
    """
    n = len(loss)
    if n <= SLIDE_WINDOW:
        return None
    slope = np.gradient(loss)
    differ = np.abs(slope[SLIDE_WINDOW:] - slope[:-SLIDE_WINDOW])[::-1] > SLIDE_THRESHOLD
    n_moves = int(differ.argmin()) if not differ.all() else len(differ)
    return float(lr[n - 1 - SLIDE_WINDOW - max(0, n_moves - 1)])


RULES: Mapping[str, Rule] = MappingProxyType(
    {"minimum": minimum, "steepest": steepest, "valley": valley, "slide": slide}
)
"""The rules by name."""
