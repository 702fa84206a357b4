"""Means and spreads over seeds."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .trial import Point


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean; None where a value is missing or was not finite."""
    finite = [value for value in values if value is not None]
    if not values or len(finite) < len(values):
        return None
    try:
        return math.fsum(finite) / len(values)
    except OverflowError:  # of the sum alone: fractions have no largest one
        return statistics.mean(finite)


def spread_of(values: Sequence[float | None]) -> float | None:
    """The standard deviation of a sample; None of fewer than two values, and where it is not finite."""
    finite = [value for value in values if value is not None]
    try:
        return statistics.stdev(finite) if len(finite) > 1 else None
    except OverflowError:
        return None


def mean_metrics(points: Sequence[Point]) -> dict[str, float | None]:
    """Each metric's mean over the seeds' points."""
    if len(points) == 1:
        return dict(points[0].metrics)
    names = dict.fromkeys(name for point in points for name in point.metrics)
    return {name: mean_of([point.metrics.get(name) for point in points]) for name in names}


def by_epoch(points: Iterable[Point]) -> dict[int, list[Point]]:
    """Stored points by finished epochs (reporting intervals), rising: a point a seed that came so far."""
    found: defaultdict[int, list[Point]] = defaultdict(list)
    for point in points:
        found[point.epoch or 0].append(point)
    return dict(sorted(found.items()))
