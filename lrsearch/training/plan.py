"""A schedule as training sees it: the controls of every interval, and the keys after them."""

from __future__ import annotations

import hashlib

import numpy as np

from ..schedules import FloatArray, Schedule
from ..trajectory import interval_bounds, n_intervals, next_key, rounded

BLOCK = 65_536
"""About how many updates' rates are computed at once."""


class Plan:
    """The intervals of one schedule; the same arrays as ``trajectory.controls``, computed many at a time.

    Args:
        schedule: the schedule.
        updates_per_epoch: updates of a pass over the data; used where the horizon is in epochs.
    """

    def __init__(self, schedule: Schedule, updates_per_epoch: int) -> None:
        self.schedule = schedule
        self._updates_per_epoch = updates_per_epoch
        self.n_epochs = n_intervals(schedule, updates_per_epoch)
        self._interval = schedule.updates_per_interval(updates_per_epoch)
        self._at_once = max(1, BLOCK // self._interval)
        self._block: tuple[int, FloatArray] = (-1, np.empty((0, 1)))

    def bounds(self, epoch: int) -> tuple[int, int]:
        """First update and end (exclusive) of an interval."""
        return interval_bounds(self.schedule, self._updates_per_epoch, epoch)

    def controls(self, epoch: int) -> FloatArray:
        """float64 of shape (updates, 1): the learning rate of every update of interval ``epoch``."""
        number, position = divmod(epoch - 1, self._at_once)
        if self._block[0] != number:
            first, _ = self.bounds(number * self._at_once + 1)
            _, end = self.bounds((number + 1) * self._at_once)
            rates = self.schedule.lr(np.arange(first, end), self._updates_per_epoch)
            self._block = (number, rounded(rates)[:, None])
        return self._block[1][position * self._interval : (position + 1) * self._interval]

    def keys(self, start: str, n_epochs: int) -> list[str]:
        """The keys of the trajectory that begins at ``start``: after 0, 1, ... ``n_epochs`` intervals."""
        keys = [start]
        for epoch in range(1, n_epochs + 1):
            keys.append(next_key(keys[-1], self.controls(epoch)))
        return keys


def store_key(plan_key: str, fingerprint: str, numerics: str) -> str:
    """``store_key(0)``: the only key that opens a checkpoint, as it names what is trained and what with."""
    text = "\n".join([plan_key, fingerprint, numerics])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
