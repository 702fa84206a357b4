"""A worker's books: what it holds, what it has measured, and what of that is still to be sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from operator import methodcaller
from typing import Protocol

from .study import Assignment, Attempt, Directive, Point, Report, Result

MAX_BATCH_BYTES = 700_000
"""About the most that one request carries; the service takes 1 MiB."""
POINT_BYTES, METRIC_BYTES = 130, 30
"""About the size of a point without its metrics, and of a metric without its name."""
PIECE_BYTES, LAYER_BYTES = 70, 60
"""About the size of a piece of diagnostics, and of a layer without its name."""

News = tuple[Attempt, Point | Result]
"""What a trainer tells of an assignment: its points in their order, then its result."""


class Trains(Protocol):
    """What a worker needs of a trainer; one thread alone calls it."""

    @property
    def update_seconds(self) -> float | None:
        """What one update of the plain loop takes here, for the recipe held; None = not measured."""

    @property
    def note(self) -> str | None:
        """What people should know of how the recipe held trains here; None = nothing."""

    @property
    def hold(self) -> int:
        """How many assignments it would gladly hold at once, >= 1; parked ones do not count."""

    @property
    def busy(self) -> bool:
        """Whether ``step`` has something to do."""

    def add(self, assignment: Assignment) -> None:
        """Hold an assignment."""

    def drop(self, attempt: Attempt) -> None:
        """Hold an assignment no longer; one that it does not hold is left alone."""

    def extend(self, attempt: Attempt, until_epoch: int) -> None:
        """Train an assignment further; one that it does not hold is left alone."""

    def step(self) -> Sequence[News]:
        """Train a little; what there is to tell."""

    def close(self) -> None:
        """Store what is running, and hold nothing more."""


Order = Callable[[Trains], None]
"""What a trainer is to do."""


class Ledger:
    """The assignments a worker holds, in order, with their unsent points and results. Thread-safe.

    Attributes:
        changed: notified of every change; also the lock around all of it.
        n_unsent: points that are still to be sent.
        update_seconds: what one update of the plain loop takes here, once measured; travels with every batch.
        note: what people should know of how it is trained; travels likewise.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.n_unsent = 0
        self.update_seconds: float | None = None
        self.note: str | None = None
        self._held: dict[Attempt, int] = {}  # with the epoch until which each is trained: thousands may be parked
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._parked: set[Attempt] = set()
        self._orders: list[Order] = []
        self._points: dict[Attempt, list[tuple[Point, int]]] = {}  # with their sizes
        self._unsent_bytes = 0
        self._results: dict[Attempt, Result] = {}

    def __len__(self) -> int:
        """How many assignments are held."""
        return len(self._held)

    @property
    def n_active(self) -> int:
        """How many assignments are held that do not wait for a decision."""
        return len(self._held) - len(self._parked)

    @property
    def has_results(self) -> bool:
        """Whether a trial's end is still to be sent."""
        return bool(self._results)

    @property
    def has_batch(self) -> bool:
        """Whether there is more to send than fits one request."""
        return self._unsent_bytes > MAX_BATCH_BYTES

    def accept(self, assignments: Iterable[Assignment]) -> None:
        """Take assignments in; those that are held already are only repeated, or go on for longer."""
        with self.changed:
            for assignment in assignments:
                key = assignment.key
                if key not in self._held:
                    self.drop_trial(key.study, key.trial)
                    self._held[key] = assignment.until_epoch
                    self._attempts[key.study, key.trial] = key
                    self._orders.append(methodcaller("add", assignment))
                elif assignment.until_epoch > self._held[key]:
                    self._extend(key, assignment.until_epoch)
            self.changed.notify_all()

    def orders(self) -> list[Order]:
        """What the trainer is to do now, in this order."""
        with self.changed:
            orders, self._orders = self._orders, []
            return orders

    def add(self, news: Iterable[News]) -> None:
        """Note points and results, unless their assignments are no longer held."""
        with self.changed:
            for key, item in news:
                if key not in self._held:
                    continue
                if isinstance(item, Result):
                    self._results[key] = item
                else:
                    size = size_of(item)
                    self._points.setdefault(key, []).append((item, size))
                    self.n_unsent += 1
                    self._unsent_bytes += size
            self.changed.notify_all()

    def fail(self, result: Result) -> None:
        """End everything that has not ended."""
        with self.changed:
            for key in self._held.keys() - self._results.keys():
                self._orders.append(methodcaller("drop", key))
                self._results[key] = result
            self.changed.notify_all()

    def batch(self) -> tuple[Report, ...]:
        """What is to be sent next: points in their order, as many as fit; each result after all of its points."""
        reports: list[Report] = []
        room = MAX_BATCH_BYTES
        with self.changed:
            for key in dict.fromkeys((*self._points, *self._results)):  # who waits longest comes first
                points = self._points.get(key, [])
                n_sent = 0
                while n_sent < len(points) and room > 0:
                    room -= points[n_sent][1]
                    n_sent += 1
                result = self._results.get(key) if n_sent == len(points) else None
                if n_sent or result is not None:
                    report = Report(**key._asdict(), points=tuple(point for point, _ in points[:n_sent]), result=result)
                    if not reports:
                        said = {"update_seconds": self.update_seconds, "note": self.note}
                        report = report.model_copy(update={name: it for name, it in said.items() if it is not None})
                    reports.append(report)
        return tuple(reports)

    def strike_out(self, reports: Sequence[Report]) -> None:
        """What the service has stored is done with."""
        with self.changed:
            for report in reports:
                self._take_out(report.key, len(report.points))
                if report.result is not None:
                    self._forget(report.key)
            self.changed.notify_all()

    def drop(self, key: Attempt) -> None:
        """Hold an assignment no longer, and send nothing more of it."""
        with self.changed:
            if key in self._held:
                self._forget(key)
                self._orders.append(methodcaller("drop", key))
            self.changed.notify_all()

    def drop_trial(self, study: str, trial: int) -> None:
        """Drop whatever is held of a trial."""
        with self.changed:
            for key in self._of(study, trial):
                self.drop(key)

    def park(self, study: str, trial: int) -> None:
        """A trial waits for a decision: it is held, with nothing to do."""
        with self.changed:
            self._parked.update(self._of(study, trial))
            self.changed.notify_all()

    def extend(self, study: str, trial: int, until_epoch: int | None) -> None:
        """Train a trial further, to ``until_epoch``."""
        with self.changed:
            for key in self._of(study, trial):
                self._extend(key, until_epoch or self._held[key])
            self.changed.notify_all()

    def knows(self, directive: Directive) -> bool:
        """Whether a directive only repeats what is done already: one to go on as far as is held, say."""
        held = self._of(directive.study, directive.trial)
        if directive.do == "continue":
            return any(key not in self._parked and self._held[key] == directive.until_epoch for key in held)
        return directive.do == "wait" and all(key in self._parked for key in held)

    def clear(self) -> None:
        """Drop everything."""
        with self.changed:
            for key in list(self._held):
                self.drop(key)

    def _extend(self, key: Attempt, until_epoch: int) -> None:
        self._parked.discard(key)
        self._held[key] = until_epoch
        self._orders.append(methodcaller("extend", key, until_epoch))

    def _forget(self, key: Attempt) -> None:
        del self._held[key], self._attempts[key.study, key.trial]
        self._take_out(key, None)
        self._results.pop(key, None)
        self._parked.discard(key)

    def _take_out(self, key: Attempt, n_points: int | None) -> None:
        """Forget an assignment's first unsent points; None = all. The rest comes last: others have waited longer."""
        points = self._points.pop(key, [])
        self.n_unsent -= len(points[:n_points])
        self._unsent_bytes -= sum(size for _, size in points[:n_points])
        if n_points is not None and points[n_points:]:
            self._points[key] = points[n_points:]

    def _of(self, study: str, trial: int) -> list[Attempt]:
        """The attempt at a trial that is held, if any: a later one takes an earlier one's place."""
        return [self._attempts[study, trial]] if (study, trial) in self._attempts else []


def size_of(point: Point) -> int:
    """About how many bytes a point takes on the wire."""
    size = POINT_BYTES + sum(METRIC_BYTES + len(name) for name in point.metrics)
    if (looked := point.diagnostics) is not None:
        layers = (*looked.layers, *(looked.start or ()))
        size += PIECE_BYTES * len(looked.updates) + sum(LAYER_BYTES + len(name) for name in layers)
    return size
