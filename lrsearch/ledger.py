"""A worker's books: what it holds, what it has measured, and what of that is still to be sent."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .study import Assignment, Point, Report, Result

MAX_BATCH = 500
"""Points in one request."""


class Key(NamedTuple):
    """One attempt at one trial."""

    study: str
    trial: int
    attempt: int

    @classmethod
    def of(cls, assignment: Assignment) -> Key:
        """The key of an assignment."""
        return cls(assignment.study, assignment.trial, assignment.attempt)


class Ledger:
    """The assignments a worker holds, in order, with their unsent points and results. Thread-safe.

    Attributes:
        changed: notified of every change; also the lock around all of it.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._held: dict[Key, Assignment] = {}
        self._inbox: deque[Key] = deque()
        self._points: dict[Key, list[Point]] = {}
        self._results: dict[Key, Result] = {}

    def __len__(self) -> int:
        """How many assignments are held."""
        return len(self._held)

    def __contains__(self, key: Key) -> bool:
        """Whether an assignment is still held: one that is not need not be trained further."""
        return key in self._held

    @property
    def n_unsent(self) -> int:
        """Points that are still to be sent."""
        return sum(map(len, self._points.values()))

    @property
    def has_results(self) -> bool:
        """Whether a trial's end is still to be sent."""
        return bool(self._results)

    def accept(self, assignments: Iterable[Assignment]) -> None:
        """Take assignments in; those that are held already are only repeated."""
        with self.changed:
            for assignment in assignments:
                key = Key.of(assignment)
                if key not in self._held:
                    self._held[key] = assignment
                    self._inbox.append(key)
            self.changed.notify_all()

    def next(self) -> Assignment | None:
        """The next assignment to train, if there is one."""
        with self.changed:
            while self._inbox:
                if (assignment := self._held.get(self._inbox.popleft())) is not None:
                    return assignment
            return None

    def add(self, key: Key, point: Point) -> None:
        """Note a point, unless its assignment is no longer held."""
        with self.changed:
            if key in self._held:
                self._points.setdefault(key, []).append(point)
                self.changed.notify_all()

    def end(self, key: Key, result: Result) -> None:
        """Note a result, unless its assignment is no longer held."""
        with self.changed:
            if key in self._held:
                self._results[key] = result
                self.changed.notify_all()

    def batch(self) -> tuple[Report, ...]:
        """What is to be sent next: at most MAX_BATCH points in their order, each result after all of its points."""
        reports = []
        room = MAX_BATCH
        with self.changed:
            for key in self._held:
                points = self._points.get(key, [])
                sent = points[:room]
                room -= len(sent)
                result = self._results.get(key) if len(sent) == len(points) else None
                if sent or result is not None:
                    reports.append(Report(**key._asdict(), points=tuple(sent), result=result))
        return tuple(reports)

    def strike_out(self, reports: Sequence[Report]) -> None:
        """What the service has stored is done with."""
        with self.changed:
            for report in reports:
                key = Key(report.study, report.trial, report.attempt)
                if key in self._points:
                    del self._points[key][: len(report.points)]
                if report.result is not None:
                    self.drop(key)

    def drop(self, key: Key) -> None:
        """Hold an assignment no longer, and send nothing more of it."""
        with self.changed:
            for place in (self._held, self._points, self._results):
                place.pop(key, None)
            self.changed.notify_all()

    def drop_trial(self, study: str, trial: int) -> None:
        """Drop whatever is held of a trial."""
        with self.changed:
            for key in [key for key in self._held if key[:2] == (study, trial)]:
                self.drop(key)

    def extend(self, study: str, trial: int, until_epoch: int | None) -> None:
        """Train a trial further, to ``until_epoch``."""
        with self.changed:
            for key in [key for key in self._held if key[:2] == (study, trial)]:
                until = until_epoch or self._held[key].until_epoch
                self._held[key] = self._held[key].model_copy(update={"until_epoch": until})
                self._inbox.append(key)
            self.changed.notify_all()

    def clear(self) -> None:
        """Drop everything."""
        with self.changed:
            for key in list(self._held):
                self.drop(key)
