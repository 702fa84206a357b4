"""Lines: how one trial reaches the service."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol, SupportsFloat

from ..study import Assignment, Point, Result
from .asker import Asker
from .outbox import Outbox, measured


class Line(Protocol):
    """How one trial reaches the service: by itself, or through the first of several processes."""

    @property
    def rank(self) -> int:
        """Which of the processes that train it together this is."""

    @property
    def world(self) -> int:
        """How many there are."""

    @property
    def unwanted(self) -> bool:
        """Whether the service wants no more of it."""

    def report(self, epoch: int, metrics: Mapping[str, SupportsFloat]) -> dict[str, float]:
        """Tell an epoch's metrics; answers those that count."""

    def end(self, result: Result) -> None:
        """Send the result."""

    def part(self, finished: bool) -> None:
        """The loop was left without a word: the trial is completed if it is ``finished``."""

    def hand_back(self) -> None:
        """Give the trial up, for others to train."""


class Lines(Protocol):
    """Where trials come from, one at a time."""

    def next(self) -> tuple[Assignment, Line] | None:
        """The next one; None when the study is over."""

    def close(self) -> None:
        """Hand back what is held."""


class OwnLines:
    """One process trains every trial that its asker is given."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def next(self) -> tuple[Assignment, Line] | None:
        """The next trial; None when the study is over."""
        outbox = self._asker.next()
        return None if outbox is None else (outbox.assignment, OwnLine(self._asker, outbox))

    def close(self) -> None:
        """Hand back what is held."""
        self._asker.close()


class OwnLine:
    """A trial's line to the service, through the asker that holds it."""

    rank, world = 0, 1

    def __init__(self, asker: Asker, outbox: Outbox) -> None:
        self._asker = asker
        self._outbox = outbox
        self._since = time.monotonic()

    @property
    def unwanted(self) -> bool:
        """Whether the service wants no more of it."""
        return self._outbox.unwanted

    def report(self, epoch: int, metrics: Mapping[str, SupportsFloat]) -> dict[str, float]:
        """Tell an epoch's metrics; answers them as numbers."""
        values = measured(metrics)
        seed, now = self._outbox.assignment.seeds[0], time.monotonic()
        told = {"epoch": epoch, "seed": seed, "seconds": now - self._since, "metrics": values}
        self._asker.report(self._outbox, Point.read(told))
        self._since = time.monotonic()  # waiting for the answer is no part of an epoch
        return values

    def end(self, result: Result) -> None:
        """Send the result."""
        self._asker.end(self._outbox, result)

    def part(self, finished: bool) -> None:
        """Complete it, if it is ``finished`` and the service is there."""
        if finished:
            self._asker.part(self._outbox)

    def hand_back(self) -> None:
        """Give it up."""
        self._asker.hand_back()
