"""Trajectories: a recipe plus the controls of every update, and the keys that say which of them are the same.

A trained state is a function of the recipe, the numerics and the controls of every update so far. A key is a hash
chain with one link an epoch (one reporting interval)::

    key(0) = H(recipe)                 key(e) = H(key(e - 1), controls of epoch e)

Two trials with equal keys at epoch e have trained the same thing so far, whatever their parameters are called.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .schedules import FloatArray, Schedule

MANTISSA_BITS = 44
"""Controls keep this many bits of mantissa, so that two machines' last-bit differences do not part equal schedules."""


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
    return min((epoch - 1) * interval, horizon), min(epoch * interval, horizon)


def n_intervals(schedule: Schedule, updates_per_epoch: int | None) -> int:
    """How many reporting intervals ("epochs" inside) the horizon has."""
    if schedule.epochs is not None:
        return schedule.epochs
    return -(-schedule.horizon // schedule.updates_per_interval(updates_per_epoch))


def controls(schedule: Schedule, updates_per_epoch: int | None, epoch: int) -> FloatArray:
    """The controls of one reporting interval.

    Args:
        schedule: the schedule that drives the trajectory.
        updates_per_epoch: optimiser updates an epoch; needed where the horizon is in epochs.
        epoch: the interval, counted from 1.

    Returns:
        float64 of shape (updates, 1): column 0 is the learning rate of every update, rounded as ``rounded``.
    """
    first, end = interval_bounds(schedule, updates_per_epoch, epoch)
    return rounded(schedule.lr(np.arange(first, end), updates_per_epoch))[:, None]


def first_key(recipe: Mapping[str, Any], seed: int) -> str:
    """``plan_key(0)``: the hash of a recipe as written and its training seed."""
    text = json.dumps([recipe, seed], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def next_key(key: str, interval_controls: FloatArray) -> str:
    """The key one interval further."""
    link = hashlib.blake2b(bytes.fromhex(key), digest_size=16)
    link.update(repr(interval_controls.shape).encode())
    link.update(np.ascontiguousarray(interval_controls, dtype="<f8").tobytes())
    return link.hexdigest()


def keys(start: str, schedule: Schedule, updates_per_epoch: int | None) -> Iterator[str]:
    """The keys after intervals 1, 2, ... of ``schedule`` on a trajectory that begins at ``start``."""
    key = start
    for epoch in range(1, n_intervals(schedule, updates_per_epoch) + 1):
        key = next_key(key, controls(schedule, updates_per_epoch, epoch))
        yield key


def plan_key(recipe: Mapping[str, Any], seed: int, schedule: Schedule, updates_per_epoch: int | None) -> str:
    """The key of the whole trajectory: equal for trials that train the same thing under any name."""
    *_, key = keys(first_key(recipe, seed), schedule, updates_per_epoch)
    return key


def count_epochs(schedules: Iterable[Schedule], updates_per_epoch: int | None) -> tuple[int, int]:
    """Epochs asked and distinct over ``schedules`` of one recipe and seed.

    ``asked`` adds up every schedule's reporting intervals; ``distinct`` counts those that differ from all others in
    their controls so far: what training with shared prefixes has to train.
    """
    start = first_key({}, 0)
    asked, distinct = 0, set[str]()
    for schedule in schedules:
        asked += n_intervals(schedule, updates_per_epoch)
        distinct.update(keys(start, schedule, updates_per_epoch))
    return asked, len(distinct)


def updates_per_epoch_of(n_train: int, batch_size: int | str) -> int:
    """U = ceil(N / batch): the last partial batch is trained; a full batch is one update."""
    return 1 if batch_size == "full" else -(-n_train // int(batch_size))


__all__ = [
    "controls",
    "count_epochs",
    "first_key",
    "interval_bounds",
    "keys",
    "n_intervals",
    "next_key",
    "plan_key",
    "rounded",
    "updates_per_epoch_of",
]
