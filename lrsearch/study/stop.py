"""Early stopping: a training that no longer improves ends before its horizon."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from ..frozen import Frozen, Positive, Real
from .means import mean_of

MetricName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_./-]{0,99}$")]


class Stop(Frozen):
    """When a trial ends early, as Keras' and Lightning's ``EarlyStopping`` do.

    An epoch improves if its metric (mean over the trial's seeds) is better than the best so far by more than
    ``min_delta``; a metric that is not finite never improves. After ``patience`` epochs in a row without improvement
    the trial is completed. Its value is the objective at that last epoch, not at its best one; no weights are restored.
    """

    patience: Positive = 3
    min_delta: Annotated[Real, Field(ge=0)] = 0.0
    metric: MetricName | None = None
    """None = the objective's."""
    direction: Literal["minimize", "maximize"] | None = None
    """Needed only for a metric whose direction neither the objective nor the task says."""

    def watch(self) -> Watch:
        """The rule at the beginning of a training."""
        return Watch(self)

    def epoch(self, curve: Iterable[Sequence[float | None]]) -> int | None:
        """The epoch, from 1, at which a training stops; None while it goes on.

        Args:
            curve: the metric of every seed, epoch by epoch; None or NaN = was not finite.
        """
        watch = self.watch()
        return next((number for number, values in enumerate(curve, 1) if watch.stops(values)), None)


class Watch:
    """A stopping rule at work on one training."""

    def __init__(self, rule: Stop) -> None:
        self._rule = rule
        self._sign = -1.0 if rule.direction == "maximize" else 1.0
        self._best = math.inf
        self._waited = 0

    def stops(self, values: Sequence[float | None]) -> bool:
        """Take one more epoch in, a value a seed; whether the training ends with it."""
        mean = mean_of([None if value is None or not math.isfinite(value) else value for value in values])
        score = math.nan if mean is None else self._sign * mean
        if score < self._best - self._rule.min_delta:
            self._best, self._waited = score, 0
        else:
            self._waited += 1
        return self._waited >= self._rule.patience
