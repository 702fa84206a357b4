"""An assignment under way: its runs, a seed each, told as one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache

from ..study import Assignment, Checkpoint, Divergence, Point, Result
from .group import Group
from .program import EpochRecord
from .run import Run


class Held:
    """An assignment that a trainer holds.

    What its runs tell comes epoch by epoch, all seeds before the next epoch; so where several seeds diverge, the first
    in this order ends the trial, whichever was trained first.

    Args:
        assignment: the trial.
        groups: the group of each of its seeds.
    """

    def __init__(self, assignment: Assignment, groups: Mapping[int, Group]) -> None:
        self.assignment = assignment
        self.runs = [Run(assignment, seed, group) for seed, group in groups.items()]
        self._stop = assignment.stop
        self._watch = assignment.stop.watch() if assignment.stop is not None else None
        self._n_watched = 0

    @property
    def waits(self) -> bool:
        """Whether it stands where it has to stop before its schedule's end."""
        return all(run.over and not run.whole and not run.diverged for run in self.runs)

    def news(self) -> Iterator[Point | Result]:
        """The points that are due, and the result at the end."""
        while (run := self._next()) is not None:
            record, shared, sent = run.untold.popleft()
            if sent:
                yield point(run, record, shared=shared)
            if record.divergence is not None:
                update, rate = record.divergence
                yield Result(state="diverged", diverged_at=Divergence(update=update, lr=rate))
                return
            if run is self.runs[-1] and self._stops(record.epoch):
                for stopped in self.runs:
                    stopped.end = record.epoch
                yield Result(state="completed", checkpoint=self._checkpoint(record.epoch))
                return
        if all(run.whole and not run.untold and not run.to_test for run in self.runs):
            yield Result(state="completed", checkpoint=self._checkpoint(self.runs[0].epoch))

    def _checkpoint(self, epoch: int) -> Checkpoint | None:
        """Where the trial's weights are stored after an epoch."""
        outline = self.runs[0].group.outline
        if outline is None or self.assignment.purpose != "trial":
            return None
        return outline.model_copy(update={"keys": tuple(run.keys[epoch] for run in self.runs)})

    def _stops(self, epoch: int) -> bool:
        """Whether early stopping ends the trial with an epoch that all seeds have told."""
        if self._stop is None or self._watch is None:
            return False
        stops = False
        for records in zip(*(run.records[self._n_watched : epoch] for run in self.runs), strict=True):
            metrics = [record.metrics for record in records]
            if any(self._stop.metric not in its for its in metrics):
                return False  # the service says what was asked for and not reported
            stops = self._watch.stops([its[self._stop.metric] for its in metrics if self._stop.metric])
        self._n_watched = max(self._n_watched, epoch)  # a run that begins again tells epochs that were judged before
        return stops

    def _next(self) -> Run | None:
        """The run whose oldest news is next in order; None while that must wait for another run."""
        run = min(self.runs, key=Run.next_told)  # of equals the first
        return run if run.untold else None


def point(run: Run, record: EpochRecord, *, shared: bool) -> Point:
    """A record as it travels. Its numbers are known to be right; names that a task chose are looked at once."""
    in_epochs = run.schedule.epochs is not None
    _check(tuple(record.metrics))
    return Point.model_construct(
        epoch=record.epoch if in_epochs else None,
        update=None if in_epochs else run.plan.bounds(record.epoch)[1],
        seed=run.seed,
        shared=shared,
        lr_first=_measured(record.lr_first),
        lr_last=_measured(record.lr_last),
        seconds=record.seconds,
        metrics={name: _measured(value) for name, value in record.metrics.items()},
        diagnostics=record.diagnostics,
    )


def _measured(value: float) -> float | None:
    return value if math.isfinite(value) else None


@lru_cache
def _check(names: tuple[str, ...]) -> None:
    Point(metrics=dict.fromkeys(names))
