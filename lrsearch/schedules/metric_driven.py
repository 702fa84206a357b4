"""Schedules that look at what was measured so far: what all such families have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ..errors import InvalidInput
from ..frozen import Real
from .formula import FloatArray
from .schedule import Clock, History, Schedule


class MetricDriven(Schedule):
    """A schedule whose rates follow from the metrics of the reporting intervals before.

    It is a fold: a ``pace`` (whatever the family remembers) begins, and every interval's metric advances it. So the
    rates of interval e are a function of the metrics of intervals 1 to e - 1, the same wherever it is computed, and
    ``lr(u, history=...)`` with the metrics of a training gives the curve that it really took.

    A metric improves where, for ``minimize``, it is less than ``best * (1 - threshold)`` (``rel``) or
    ``best - threshold`` (``abs``), best being the best value that was an improvement; for ``maximize`` where it is
    greater than ``best * (1 + threshold)`` or ``best + threshold``. NaN never improves.
    """

    METRIC_DRIVEN: ClassVar[bool] = True
    RULE: ClassVar[str] = ""
    """What the family does, in a line."""

    metric: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_./-]{0,99}$")] = "val_loss"
    """What is looked at after every interval; a study takes its objective's."""
    direction: Literal["minimize", "maximize"] = "minimize"
    """Which way the metric improves; a study takes its objective's."""
    threshold: Annotated[Real, Field(ge=0)] = 1e-4
    """By how much a metric must be better to count as improved."""
    threshold_mode: Literal["rel", "abs"] = "rel"
    """Whether `threshold` is a share of the best value, or a difference from it."""

    @abstractmethod
    def _begin(self, clock: Clock) -> Any:
        """The pace of the first interval."""

    @abstractmethod
    def _advance(self, pace: Any, measured: float, end: int, clock: Clock) -> Any:
        """The next interval's pace, after ``measured`` at the end of the interval that ends before update ``end``."""

    @abstractmethod
    def _paced(self, pace: Any, u: FloatArray, clock: Clock) -> FloatArray:
        """The share of the peak at updates ``u`` of one interval."""

    @abstractmethod
    def _settled(self, pace: Any, n_intervals: int, clock: Clock) -> float:
        """How many intervals after the first ``n_intervals`` go on at this ``pace`` whatever is measured, >= 1."""

    @classmethod
    def rule(cls) -> str:
        """What the family does, in a line."""
        return cls.RULE

    def improves(self, measured: float, best: float) -> bool:
        """Whether ``measured`` is better than ``best`` by the threshold; a first best is infinitely bad."""
        sign = 1 if self.direction == "minimize" else -1
        if math.isinf(best):
            return sign * measured < sign * best
        margin = self.threshold * (best if self.threshold_mode == "rel" else 1)
        return measured < best - margin if sign == 1 else measured > best + margin

    @property
    def worst(self) -> float:
        """The best value before anything was measured."""
        return math.inf if self.direction == "minimize" else -math.inf

    def _interval(self, clock: Clock) -> int:
        return self.eval_every or clock.updates_per_unit

    def _paces(self, history: History, clock: Clock) -> Iterator[Any]:
        """The paces of the intervals from the first, as far as a history tells."""
        pace, interval = self._begin(clock), self._interval(clock)
        yield pace
        for done, metrics in enumerate(history, start=1):
            if self.metric not in metrics:
                raise InvalidInput(
                    f"the schedule looks at the metric `{self.metric}`, which was not measured in interval {done}; "
                    f"there is {', '.join(metrics) or 'nothing'}",
                    field="metric",
                )
            value = metrics[self.metric]
            measured = math.nan if value is None else float(value)
            pace = self._advance(pace, measured, min(done * interval, clock.horizon), clock)
            yield pace

    def _shares(self, u: FloatArray, clock: Clock, history: History) -> FloatArray:
        share, interval = np.empty_like(u), self._interval(clock)
        last = -(-clock.horizon // interval) - 1
        before = np.minimum(u // interval, last).astype(np.int64)
        order = np.argsort(before, kind="stable")
        wanted, starts = np.unique(before[order], return_index=True)
        members = dict(zip(wanted.tolist(), np.split(order, starts[1:]), strict=True))
        paces = list(self._paces(history[: max(members, default=0)], clock))
        if members and max(members) >= len(paces) - 1 + self._settled(paces[-1], len(paces) - 1, clock):
            raise InvalidInput(
                f"the rates of {self.family} depend on what is measured: update {max(members) * interval} needs the "
                f"`history` of the {max(members)} reporting intervals before it, each a mapping with `{self.metric}` "
                f"(got {len(history)})",
                field="history",
            )
        for number, own in members.items():
            share[own] = self._paced(paces[min(number, len(paces) - 1)], u[own], clock)
        return share

    def foreseen(self, updates_per_epoch: int | None = None, history: History = ()) -> int:
        """As ``Schedule.foreseen``: at least one interval more than there is history."""
        clock = self.clock(updates_per_epoch)
        end = -(-clock.horizon // self._interval(clock))
        pace = deque(self._paces(history[:end], clock), maxlen=1).pop()
        done = min(len(history), end)
        return int(min(end, done + self._settled(pace, done, clock)))

    def improving(self, updates_per_epoch: int | None = None) -> History:
        """As ``Schedule.improving``."""
        end = -(-self.clock(updates_per_epoch).horizon // self.updates_per_interval(updates_per_epoch))
        numbers = range(1, end + 1) if self.direction == "minimize" else range(end, 0, -1)
        return [{self.metric: -number * (1 + self.threshold)} for number in numbers]

    def stalled(self, updates_per_epoch: int | None = None) -> History:
        """As ``Schedule.stalled``."""
        return [{self.metric: 0.0}] * len(self.improving(updates_per_epoch))
