"""Runs that have not begun: in which order they begin, and what they will need of those under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from .cohort import Lane
from .run import Run


class Waiting:
    """Runs that are known and not begun.

    They begin in such an order that those which share most follow each other, the earliest first: an in-order walk
    of the tree of their keys.
    """

    def __init__(self) -> None:
        self._runs: dict[Run, tuple[str, ...]] = {}  # with the keys that are counted for it
        self._passing: Counter[str] = Counter()
        self._ordered = True

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        """The runs, in the order in which they should begin."""
        if not self._ordered:
            first: dict[str, int] = {}
            for number, keys in enumerate(self._runs.values()):
                for key in keys:
                    first.setdefault(key, number)
            order = sorted(self._runs, key=lambda run: [first[key] for key in self._runs[run]])
            self._runs = {run: self._runs[run] for run in order}
            self._ordered = True
        return iter(list(self._runs))

    def add(self, run: Run) -> None:
        """A run waits."""
        self._runs[run] = keys = tuple(run.keys)
        self._passing.update(keys[1:])
        self._ordered = False

    def remove(self, run: Run) -> None:
        """A run waits no longer; one that does not is left alone."""
        if run not in self._runs:
            return
        keys = self._runs.pop(run)[1:]
        self._passing.subtract(keys)
        for key in keys:
            if not self._passing[key]:
                del self._passing[key]

    def foresee(self, lanes: Iterable[Lane]) -> None:
        """Let metric-driven runs look at what those have measured that came their way."""
        ends = {lane[0].keys[lane[0].epoch]: lane[0] for lane in lanes if lane}
        for run, keys in self._runs.items():
            if (other := ends.get(keys[-1])) is not None:
                run.learn_from(other)
                if len(run.keys) > len(keys):
                    self._runs[run] = tuple(run.keys)
                    self._passing.update(run.keys[len(keys) :])
                    self._ordered = False

    def keys(self) -> Iterable[str]:
        """Every key that a waiting run comes by."""
        return self._passing.keys()

    def needs(self, lane: Lane, following: Iterable[str]) -> bool:
        """Whether a waiting run comes by a lane's state and goes on to none of the keys ``following`` it."""
        epoch = lane[0].epoch
        passing = self._passing.get(lane[0].keys[epoch], 0) if epoch else 0
        return passing > sum(self._passing.get(key, 0) for key in following)
