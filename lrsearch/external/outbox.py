"""The outbox: what one attempt has measured and the service has not acknowledged, in its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import SupportsFloat

from ..errors import InvalidInput
from ..study import Assignment, Point, Report, Result
from .spool import SpoolFile

MAX_BATCH_BYTES = 500_000
"""A report has so many bytes of points at most: half of what a service takes."""


def measured(metrics: Mapping[str, SupportsFloat]) -> dict[str, float]:
    """Metrics as numbers. Raises InvalidInput where one is none."""
    return {name: _number(name, value) for name, value in metrics.items()}


def _number(name: str, value: SupportsFloat) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidInput(f"the metric `{name}` is a number (got {value!r:.100})", field=name) from None


def batch(points: Sequence[Point], result: Result | None) -> tuple[list[Point], Result | None]:
    """As many of the first points as one report may have; the result goes with the last of them."""
    size, first = 0, 0
    while first < len(points) and (not first or size < MAX_BATCH_BYTES):
        size += len(points[first].model_dump_json(exclude_unset=True))
        first += 1
    return list(points[:first]), result if first == len(points) else None


class Outbox:
    """Not thread-safe: its owner has a lock.

    Attributes:
        assignment: what is trained.
        unwanted: whether the service wants no more of it.
        acknowledged: whether the service has the result.
        kept: whether what is unsent goes to the disk too.
    """

    def __init__(self, assignment: Assignment, file: SpoolFile | None) -> None:
        self.assignment = assignment
        self.unwanted = False
        self.acknowledged = False
        self.kept = False
        self._file = file
        self._points: list[Point] = []
        self._result: Result | None = None

    @property
    def empty(self) -> bool:
        """Whether the service has everything."""
        return not self._points and self._result is None

    @property
    def over(self) -> bool:
        """Whether there is nothing more to say."""
        return self.acknowledged or self.unwanted

    def add(self, points: Sequence[Point] = (), result: Result | None = None) -> None:
        """Put something in."""
        self._points += points
        self._result = result or self._result
        if self.kept and self._file is not None:
            self._file.keep(points, result)

    def keep(self) -> None:
        """From now on everything is written to disk, until the service has it all."""
        if not self.kept and self._file is not None:
            self._file.keep(self._points, self._result)
        self.kept = True

    @property
    def where(self) -> str:
        """Where it is kept, in words."""
        return f"in {self._file.path}" if self._file is not None and self._file.holds_something else "in memory"

    @property
    def safe(self) -> bool:
        """Whether the disk has what the service has not."""
        return not self.empty and self._file is not None and self._file.holds_something

    def next_report(self) -> Report | None:
        """The first that is to be sent; None where there is nothing."""
        if self.empty:
            return None
        points, result = batch(self._points, self._result)
        key = self.assignment.key
        return Report(study=key.study, trial=key.trial, attempt=key.attempt, points=tuple(points), result=result)

    def taken(self, report: Report) -> None:
        """The service has it."""
        del self._points[: len(report.points)]
        if report.result is not None:
            self._result, self.acknowledged = None, True
        if self.empty:
            self._close(delete=True)
            self.kept = False

    def refuse(self) -> None:
        """The service wants no more of it."""
        self.unwanted = True
        self.clear()

    def clear(self) -> None:
        """Throw away what is unsent."""
        self._points, self._result = [], None
        self._close(delete=True)
        self.kept = False

    def leave(self) -> None:
        """Leave what is unsent to whoever finds it on the disk."""
        self._close(delete=self.empty)

    def _close(self, *, delete: bool) -> None:
        if self._file is not None:
            self._file.close(delete=delete)
