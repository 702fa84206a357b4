"""A trial as pictures need it: what it is, and what it reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..schedules import FloatArray
from ..study import Point, Study, Trial, by_epoch, mean_metrics

N_DRAWN = 1000
"""Rates are drawn at about so many updates."""
ANY_PER_EPOCH = 100
"""Updates an epoch where they are not known: any number shows the shape."""
MOST_QUANTITIES = 3
"""So many panels fit below the rates'."""
PARTS = ("train", "val", "test")
"""The data that a quantity may be measured on: the first part of a metric's name."""


class Trained(NamedTuple):
    """A trial, and its points by seed and epoch."""

    trial: Trial
    points: Sequence[Point]

    @property
    def end(self) -> int:
        """How far it came, in epochs, or updates; its whole horizon if it tells only its value."""
        if self.points:
            return self.at(max(point.epoch or 0 for point in self.points))
        return self.trial.schedule.horizon if self.trial.value is not None else 0

    def at(self, interval: int) -> int:
        """Where reporting interval ``interval`` ends, in epochs, or updates."""
        return min(interval * (self.trial.schedule.eval_every or 1), self.trial.schedule.horizon)

    def rates(self, study: Study) -> tuple[FloatArray, FloatArray]:
        """Where it is in epochs (or updates), and the rate from there on, as far as it came; the last one twice.

        Both of shape (points,). A metric-driven schedule's are those that it took with its first seed.
        """
        schedule = self.trial.schedule
        per_unit = 1 if schedule.epochs is None else study.updates_per_epoch or ANY_PER_EPOCH
        end = self.end * per_unit
        updates = np.unique(np.rint(np.linspace(0, end - 1, min(end, N_DRAWN)))) if end else np.zeros(0)
        first = self.points[0].seed if self.points else None
        history = [point.metrics for point in self.points if point.seed == first]
        rates = schedule.lr(updates, per_unit if schedule.epochs is not None else None, history=history)
        return np.append(updates, end) / per_unit, np.append(rates, rates[-1:])

    def measured(self, metric: str, seed: int | None = None) -> tuple[FloatArray, FloatArray]:
        """Where ``metric`` was measured, and its mean over seeds there, or that of one; NaN where it was not finite."""
        found = by_epoch(point for point in self.points if seed is None or point.seed == seed)
        means = {self.at(epoch): mean_metrics(points) for epoch, points in found.items()}
        known = {at: metrics[metric] for at, metrics in means.items() if metric in metrics}
        values = [np.nan if value is None else value for value in known.values()]
        return np.array([*known], dtype=np.float64), np.array(values, dtype=np.float64)


def quantities(trained: Iterable[Trained], objective: str | None) -> dict[str, dict[str, str]]:
    """What is drawn: by quantity (``loss``), the metrics by the part of the data that they are measured on.

    Those measured on a part of the data, the objective's first; where no metric is, whatever was reported.
    """
    names = dict.fromkeys(name for one in trained for point in one.points for name in point.metrics)
    found: dict[str, dict[str, str]] = {}
    for name in sorted(names, key=lambda name: (_split(name)[1] != _split(objective or "")[1], _split(name)[1])):
        part, quantity = _split(name)
        found.setdefault(quantity, {})[part] = name
    split = {name: parts for name, parts in found.items() if objective in parts.values() or set(parts) != {""}}
    chosen = split if any(set(parts) != {""} for parts in found.values()) else found
    return dict(list(chosen.items())[:MOST_QUANTITIES])


def _split(metric: str) -> tuple[str, str]:
    part, _, quantity = metric.partition("_")
    return (part, quantity) if part in PARTS and quantity else ("", metric)
