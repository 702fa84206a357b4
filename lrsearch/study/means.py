"""Means over seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from .trial import Point


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean; None where a value is missing or was not finite."""
    finite = [value for value in values if value is not None]
    return math.fsum(finite) / len(values) if values and len(finite) == len(values) else None


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
