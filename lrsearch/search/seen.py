"""What a suggestion sees of the trials before it, as columns: brought forward from one suggestion to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from itertools import compress
from operator import is_not, itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from ..space import Space
from ..study import TERMINAL, Outcome
from .replay import Replay

Rows = NDArray[np.intp]


class Fate(IntEnum):
    """How a trial is seen."""

    LEFT_OUT = 0
    """It lies outside of the space, or has nothing to say."""
    RUNNING = 1
    COMPLETED = 2
    DIVERGED = 3
    """It counts for the worst finite value among those seen, and for nothing while there is none."""
    PRUNED = 4


class Seen:
    """Trials by number: their fates, values and parameters as a sampler draws them.

    Trials 0..number-parallel are seen as they ended, later ones as running, whatever became of them. Only rows that
    differ from what was shown before are written, and what is shown is a function of the history alone.

    Args:
        space: what the trials were drawn from.
        parallel: how many trials may be under way.

    Attributes:
        distributions: what each label is drawn from; it never changes.
    """

    def __init__(self, space: Space, parallel: int) -> None:
        self.distributions: dict[str, BaseDistribution] = {}
        self._space = space
        self._parallel = parallel
        self._sign = 1.0 if space.spec.minimize else -1.0
        self._shown: list[Outcome] = []
        self._last = -1
        self._labels: list[tuple[str, ...]] = []
        self._columns: dict[str, NDArray[np.float64]] = {}
        # fate; which of the lists of labels; rung; value, less is better; the value of completed ones, others' -inf
        self._table = np.zeros((5, 0))

    def show(self, history: Sequence[Outcome], number: int) -> None:
        """Make it what suggestion ``number`` sees."""
        past = _before(history, number)
        last = number - self._parallel
        known = min(len(past), len(self._shown))
        others = compress(range(known), map(is_not, past, self._shown))  # most are what was shown before
        changed = {row for row in others if past[row] != self._shown[row]}
        changed.update(range(known, len(past)))
        for row in range(len(past) - 1, -1, -1):  # those whose end comes into view, or leaves it
            if past[row][0] <= min(last, self._last):
                break
            changed.add(row)
        self._shown, self._last = past, last
        self._make_room(len(past))
        for row in sorted(changed):
            self._write(row, past[row], ended=past[row].number <= last)

    def _make_room(self, n_rows: int) -> None:
        more = n_rows - self._table.shape[1]
        if more > 0:
            more += n_rows
            self._table = np.pad(self._table, ((0, 0), (0, more)))
            self._columns = {
                label: np.pad(column, (0, more), constant_values=np.nan) for label, column in self._columns.items()
            }

    def _write(self, row: int, outcome: Outcome, *, ended: bool) -> None:
        drawn = self._space.observed(outcome.params)
        for column in self._columns.values():
            column[row] = np.nan
        value = 0.0 if outcome.value is None else self._sign * outcome.value
        measured = value if ended and outcome.state == "completed" and outcome.value is not None else -np.inf
        self._table[:, row] = (Fate.LEFT_OUT, 0, 0, 0.0, measured)
        if drawn is None:
            return
        for label, drawn_value in drawn.items():
            if label not in self.distributions:
                self._meet(drawn)
            choices = getattr(self.distributions[label], "choices", None)
            self._columns[label][row] = drawn_value if choices is None else choices.index(drawn_value)
        labels = tuple(drawn)
        if labels not in self._labels:
            self._labels.append(labels)
        fate = self._fate(outcome) if ended and outcome.state in TERMINAL else Fate.RUNNING
        # what was pruned before it had a value comes after all that had one
        rung = -1 if outcome.value is None else outcome.mark
        self._table[:, row] = (fate, self._labels.index(labels), rung, value, measured)

    @staticmethod
    def _fate(outcome: Outcome) -> Fate:
        if outcome.state == "completed" and outcome.value is not None:
            return Fate.COMPLETED
        return {"diverged": Fate.DIVERGED, "pruned": Fate.PRUNED}.get(outcome.state, Fate.LEFT_OUT)

    def _meet(self, drawn: Mapping[str, Any]) -> None:
        replay = Replay(drawn)
        self._space.suggest(replay)
        for label, distribution in replay.distributions.items():
            if label not in self.distributions:
                self.distributions[label] = distribution
                self._columns[label] = np.full(self._table.shape[1], np.nan)

    @property
    def _fates(self) -> NDArray[np.float64]:
        return self._table[0, : len(self._shown)]

    @property
    def _ended(self) -> NDArray[np.bool_]:
        fates = self._fates
        counted: NDArray[np.bool_] = (fates == Fate.COMPLETED) | (fates == Fate.PRUNED)
        if self._worst > -np.inf:
            counted |= fates == Fate.DIVERGED
        return counted

    @property
    def _worst(self) -> float:
        """The worst value of the completed trials seen, those outside of the space among them; -inf: there is none."""
        return float(np.max(self._table[4, : len(self._shown)], initial=-np.inf))

    @property
    def n_ended(self) -> int:
        """How many trials count by how they ended."""
        return int(np.count_nonzero(self._ended))

    def groups(self) -> Iterator[dict[str, BaseDistribution]]:
        """The parameters that ended trials have together, in the order in which they first came."""
        which = self._table[1, : len(self._shown)][self._ended]
        kinds, first = np.unique(which, return_index=True)
        for kind in kinds[np.argsort(first)]:
            yield {label: self.distributions[label] for label in self._labels[int(kind)]}

    def split(self, n_best: int) -> tuple[Rows, Rows]:
        """Rows by number: the ``n_best`` best, and all others, those running among them.

        Completed ones come by value, then pruned ones by how far they came, there by value; ties by number.
        """
        fates, (rungs, values) = self._fates, self._table[2:4, : len(self._shown)]
        ended = self._ended
        completed = np.flatnonzero(ended & (fates != Fate.PRUNED))
        pruned = np.flatnonzero(fates == Fate.PRUNED)
        values = np.where(fates == Fate.DIVERGED, self._worst, values)
        ranked = np.concatenate(
            [
                completed[np.argsort(values[completed], kind="stable")],
                pruned[np.lexsort((values[pruned], -rungs[pruned]))],
            ]
        )
        best = np.zeros(len(fates), dtype=bool)
        best[ranked[:n_best]] = True
        return np.flatnonzero(best), np.flatnonzero((ended | (fates == Fate.RUNNING)) & ~best)

    def params(self, rows: Rows, labels: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """The parameters of those of the rows that have all of them; choices by index."""
        columns = {label: self._columns[label][rows] for label in labels if label in self._columns}
        if len(columns) < len(labels):
            return {label: np.empty(0) for label in labels}
        whole = ~np.isnan(np.sum(list(columns.values()), axis=0))
        return {label: column[whole] for label, column in columns.items()}


def _before(history: Sequence[Outcome], number: int) -> list[Outcome]:
    """The trials below ``number``, by number: mostly the first ones, with none left out."""
    past = list(history[:number])
    if [*map(itemgetter(0), past)] == [*range(number)]:
        return past
    return sorted((outcome for outcome in history if outcome[0] < number), key=itemgetter(0))
