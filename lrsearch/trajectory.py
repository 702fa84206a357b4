"""Trajectories: a recipe plus the controls of every update, and the keys that say which of them are the same.

A trained state is a function of the recipe, the numerics and the controls of every update so far. A key is a hash
chain with one link an epoch (one reporting interval)::

    key(0) = H(recipe)                 key(e) = H(key(e - 1), controls of epoch e)

Two trials with equal keys at epoch e have trained the same thing so far, whatever their parameters are called.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np

from .schedules import FloatArray, History, Schedule, controls, trimmed

MANTISSA_BITS = 44
"""Controls keep this many bits of mantissa, so that two machines' last-bit differences do not part equal schedules."""
KEY_BYTES = 16
MOST_EPOCHS = 1000
"""The keys of longer schedules would take too much memory."""
BLOCK = 65_536
"""About how many updates' rates are computed at once."""


def rounded(controls: FloatArray) -> FloatArray:
    """``controls`` rounded to 44 bits of mantissa (relative change <= 2**-45)."""
    mantissa, exponent = np.frexp(controls)
    bits = MANTISSA_BITS + 1  # frexp's mantissa lies in [1/2, 1): its first bit is the one that is always set
    kept: FloatArray = np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)
    return kept


def interval_bounds(schedule: Schedule, updates_per_epoch: int | None, epoch: int) -> tuple[int, int]:
    """First update and end (exclusive) of reporting interval ``epoch``, counted from 1; the last may be shorter."""
    interval = schedule.updates_per_interval(updates_per_epoch)
    horizon = schedule.clock(updates_per_epoch).horizon
    return _bounds(interval, horizon, epoch)


def _bounds(interval: int, horizon: int, epoch: int) -> tuple[int, int]:
    return min((epoch - 1) * interval, horizon), min(epoch * interval, horizon)


def n_intervals(schedule: Schedule, updates_per_epoch: int | None) -> int:
    """How many reporting intervals ("epochs" inside) the horizon has."""
    if schedule.epochs is not None:
        return schedule.epochs
    return -(-schedule.horizon // schedule.updates_per_interval(updates_per_epoch))


def first_key(recipe: Mapping[str, Any], seed: int) -> str:
    """``plan_key(0)``: the hash of a recipe as written and its training seed."""
    text = json.dumps([recipe, seed], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return blake2b(text.encode(), digest_size=KEY_BYTES).hexdigest()


def _written(controls: FloatArray) -> bytes:
    return b"(%d, %d)%b" % (*controls.shape, controls.astype("<f8", copy=False).tobytes())


class Plan:
    """The controls of a schedule's intervals, computed many at a time, and the keys after them.

    Args:
        schedule: the schedule.
        updates_per_epoch: optimiser updates an epoch; needed where the horizon is in epochs.
    """

    def __init__(self, schedule: Schedule, updates_per_epoch: int | None) -> None:
        self.schedule = schedule
        self._updates_per_epoch = updates_per_epoch
        self.n_epochs = n_intervals(schedule, updates_per_epoch)
        self._interval = schedule.updates_per_interval(updates_per_epoch)
        self._at_once = max(1, BLOCK // self._interval)
        self._block: tuple[int, FloatArray] = (-1, np.empty((0, 1)))

    def bounds(self, epoch: int) -> tuple[int, int]:
        """First update and end (exclusive) of an interval."""
        return _bounds(self._interval, self._horizon, epoch)

    @cached_property
    def _horizon(self) -> int:
        return self.schedule.clock(self._updates_per_epoch).horizon

    def controls(self, epoch: int, history: History = ()) -> FloatArray:
        """The controls of interval ``epoch``, float64 of shape (updates, columns), rounded.

        Column 0 is the learning rate of every update, the others are ``schedules.Column``; an interval has no more of
        them than it needs, mostly one. ``epoch`` counts from 1; numbers keep 44 bits of mantissa, as ``rounded``. A
        metric-driven schedule needs the metrics of the intervals before, see ``foreseen``.

        Raises:
            InvalidInput: ``history`` is too short.
        """
        if self.schedule.METRIC_DRIVEN:
            return trimmed(self._computed(*self.bounds(epoch), history))
        number, position = divmod(epoch - 1, self._at_once)
        return trimmed(self._rows(number)[position * self._interval : (position + 1) * self._interval])

    def _rows(self, number: int) -> FloatArray:
        """The controls of the ``number``-th block of intervals."""
        if self._block[0] != number:
            first, _ = self.bounds(number * self._at_once + 1)
            _, end = self.bounds((number + 1) * self._at_once)
            self._block = (number, self._computed(first, end))
        return self._block[1]

    def _computed(self, first: int, end: int, history: History = ()) -> FloatArray:
        return rounded(controls(self.schedule, first, end, self._updates_per_epoch, history))

    def foreseen(self, history: History = ()) -> int:
        """How many intervals, from the first, have controls that are known once ``history`` was measured."""
        return self.schedule.foreseen(self._updates_per_epoch, history)

    def keys(self, start: str, n_epochs: int | None = None, history: History = ()) -> list[str]:
        """The keys of the trajectory that begins at ``start``: after 0, 1, ... ``n_epochs`` (all) intervals.

        A metric-driven schedule has as many as ``history`` foresees.
        """
        n_epochs = min(self.n_epochs if n_epochs is None else n_epochs, self.foreseen(history))
        return [start, *self.chain(start, 1, n_epochs + 1, history)]

    def chain(self, before: str, first: int, end: int, history: History = ()) -> list[str]:
        """The keys after intervals ``first``, ..., ``end - 1``, the first of which begins at the key ``before``."""
        return [key.hex() for key in self._links(before, first, end, history)]

    def _links(self, before: str, first: int, end: int, history: History = ()) -> Iterator[bytes]:
        key = bytes.fromhex(before)
        simple = not (self.schedule.METRIC_DRIVEN or self.schedule.wider)
        for written in self._simple(first, end) if simple else self._any(first, end, history):
            key = blake2b(key + written, digest_size=KEY_BYTES).digest()
            yield key

    def known(self, start: str) -> bytes:
        """As ``keys`` from ``start`` on, without it and one after the other, ``KEY_BYTES`` each."""
        return b"".join(self._links(start, 1, self.foreseen() + 1))

    def _any(self, first: int, end: int, history: History) -> Iterator[bytes]:
        for epoch in range(first, end):
            yield _written(self.controls(epoch, history))

    def _simple(self, first: int, end: int) -> Iterator[bytes]:
        """The same where there is one column only and nothing to measure: cut from a block's bytes, as many want it."""
        size = self._interval * 8
        head = b"(%d, 1)" % self._interval
        for number in range((first - 1) // self._at_once, (end - 2) // self._at_once + 1):
            written = self._rows(number).astype("<f8", copy=False).tobytes()
            start = number * self._at_once + 1
            for cut in range(
                (max(first, start) - start) * size, (min(end, start + self._at_once) - start) * size, size
            ):
                piece = written[cut : cut + size]
                yield (head if len(piece) == size else b"(%d, 1)" % (len(piece) // 8)) + piece


def known_keys(start: str, schedule: Schedule, updates_per_epoch: int | None) -> bytes:
    """As ``Plan.known``, remembered unless there are very many: a trial's are wanted whenever it is heard of."""
    few = n_intervals(schedule, updates_per_epoch) <= MOST_EPOCHS
    return (_remembered if few else _remembered.__wrapped__)(start, schedule, updates_per_epoch)


@lru_cache(maxsize=1024)
def _remembered(start: str, schedule: Schedule, updates_per_epoch: int | None) -> bytes:
    return Plan(schedule, updates_per_epoch).known(start)


def plan_key(recipe: Mapping[str, Any], seed: int, schedule: Schedule, updates_per_epoch: int | None) -> str | None:
    """The key of the whole trajectory: equal for trials that train the same thing under any name.

    None for a metric-driven schedule, unless nothing that may be measured can change it.
    """
    plan = Plan(schedule, updates_per_epoch)
    keys = plan.keys(first_key(recipe, seed))
    return keys[-1] if len(keys) > plan.n_epochs else None


def count_epochs(schedules: Iterable[Schedule], updates_per_epoch: int | None) -> tuple[int, int | None]:
    """Epochs asked and distinct over ``schedules`` of one recipe and seed.

    ``asked`` adds up every schedule's reporting intervals; ``distinct`` counts those that differ from all others in
    their controls so far: what training with shared prefixes has to train. It is None where a metric-driven schedule
    lets nobody know.
    """
    start = first_key({}, 0)
    asked, distinct, known = 0, set[str](), True
    for schedule in schedules:
        plan = Plan(schedule, updates_per_epoch)
        keys = plan.keys(start)
        asked += plan.n_epochs
        known = known and len(keys) > plan.n_epochs
        distinct.update(keys[1:])
    return asked, len(distinct) if known else None


def updates_per_epoch_of(n_train: int, batch_size: int | str) -> int:
    """U = ceil(N / batch): the last partial batch is trained; a full batch is one update."""
    return 1 if batch_size == "full" else -(-n_train // int(batch_size))


__all__ = [
    "Plan",
    "count_epochs",
    "first_key",
    "interval_bounds",
    "n_intervals",
    "plan_key",
    "rounded",
    "updates_per_epoch_of",
]
