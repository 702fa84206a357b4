"""Ladders: at which of its epochs a trial meets the rungs, and which bracket it climbs in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..schedules import FloatArray, Schedule
from ..study import HyperbandPruner, RungPruner
from ..trajectory import n_intervals

GOLDEN = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio: multiples of it fill [0, 2^64) evenly from the first one on."""


class Ladder(NamedTuple):
    """The rungs of one trial.

    Attributes:
        bracket: trials are ranked against those of the same bracket only; 0 begins to decide first.
        epochs: finished epochs at each rung, ascending; equal ones where a schedule passes several phases in an epoch.
            Those of ``same-phase`` may lie at the horizon.
        marks: the rungs on the scale that all trials of the study share.
    """

    bracket: int
    epochs: tuple[int, ...]
    marks: tuple[int, ...]


def ladder(pruner: RungPruner, number: int, schedule: Schedule, updates_per_epoch: int | None) -> Ladder:
    """Where trial ``number`` meets the rungs.

    Rung k lies at ``min_epochs * reduction_factor ** (bracket + k)`` epochs, as long as that is less than the
    horizon. For ``compare: same-phase`` this epoch over the horizon is a share of the schedule's own decay, and the
    rung lies at the first epoch that ends with so much of it done (see ``decay_done``).
    """
    end = n_intervals(schedule, updates_per_epoch)
    depth = n_rungs(pruner.min_epochs, pruner.reduction_factor, end)
    bracket = bracket_of(number, depth, pruner.reduction_factor) if isinstance(pruner, HyperbandPruner) else 0
    marks = epochs = tuple(pruner.min_epochs * pruner.reduction_factor**k for k in range(bracket, depth))
    if pruner.compare == "same-phase":
        epochs = at_shares(decay_done(schedule, updates_per_epoch), [mark / end for mark in marks])
    return Ladder(bracket, epochs, marks)


def n_rungs(first: int, reduction_factor: int, end: int) -> int:
    """How many of the epochs first, first * reduction_factor, ... lie before ``end``."""
    count = 0
    while first * reduction_factor**count < end:
        count += 1
    return count


def decay_done(schedule: Schedule, updates_per_epoch: int | None) -> FloatArray:
    """How much of its own decay a schedule has done at the end of each epoch.

    ``(peak - lr) / (peak - lowest lr)`` over what comes after the warm-up, lr the rate of the epoch's last update:
    0 as long as the rate stays at its peak, 1 at the horizon. A schedule without a decay does its time, e / epochs, and
    so does a metric-driven one, whose decay nobody knows beforehand.

    Returns:
        float64 of shape (epochs,), ascending, the last one 1.
    """
    if schedule.epochs is not None and updates_per_epoch is None:
        updates_per_epoch = 1000  # unknown for external loops; any fine clock tells the same shares
    end = n_intervals(schedule, updates_per_epoch)
    if schedule.METRIC_DRIVEN:
        return np.arange(1, end + 1) / end
    clock, interval = schedule.clock(updates_per_epoch), schedule.updates_per_interval(updates_per_epoch)
    ends = np.minimum(np.arange(1, end + 1) * interval, clock.horizon) - 1
    after_warmup = np.maximum(ends, clock.warmup)
    return shares_of(schedule.lr(after_warmup, updates_per_epoch), schedule.initial_lr)


def shares_of(rates: FloatArray, peak: float) -> FloatArray:
    """The share of the decay done at each of ``rates``, those at the ends of the epochs (in the warm-up: ``peak``)."""
    fallen = np.maximum.accumulate(np.maximum(peak - rates, 0.0))
    if fallen[-1] <= 1e-12 * peak:
        fallen = np.arange(1, len(rates) + 1, dtype=np.float64)
    done: FloatArray = fallen / fallen[-1]
    return done


def at_shares(done: FloatArray, shares: Sequence[float]) -> tuple[int, ...]:
    """The first epoch, from 1, that ends with so much done, for each of ``shares``."""
    # the slack keeps machines with other last bits in `pow` at the same epoch
    return tuple(int(np.searchsorted(done, share - 1e-9)) + 1 for share in shares)


def bracket_of(number: int, depth: int, reduction_factor: int) -> int:
    """The Hyperband bracket of trial ``number``: bracket b has ``depth - b`` rungs.

    Of all trials bracket b gets a share in proportion to ``ceil((depth + 1) / (s + 1) * reduction_factor ** s)``,
    s = depth - b, the sizes of Hyperband's brackets. Multiples of the golden ratio deal the numbers, so that the first
    n trials have these proportions already, for every n.

    Source: Li et al., Hyperband, JMLR 2018, algorithm 1.
    """
    bounds = _bounds(depth, reduction_factor)
    position = number * GOLDEN % 2**64
    return next(bracket for bracket, bound in enumerate(bounds) if position < bound)


@lru_cache(maxsize=64)
def _bounds(depth: int, reduction_factor: int) -> tuple[int, ...]:
    """The end of each bracket's part of [0, 2^64)."""
    sizes = _sizes(depth, reduction_factor)
    total = sum(sizes)
    return tuple(2**64 * sum(sizes[: bracket + 1]) // total for bracket in range(len(sizes)))


def _sizes(depth: int, reduction_factor: int) -> list[int]:
    """Brackets' shares of all trials, in proportion."""
    return [-(-(depth + 1) * reduction_factor**s // (s + 1)) for s in range(depth, -1, -1)]


def expected_share(pruner: RungPruner, end: int) -> float:
    """About which share of a study's epochs is trained where ``1 / reduction_factor`` of a rung's trials go on.

    The rungs of ``same-phase`` are taken to lie where those of ``same-epoch`` do.

    Args:
        pruner: whose rungs.
        end: epochs of a whole trial.
    """
    factor = pruner.reduction_factor
    depth = n_rungs(pruner.min_epochs, factor, end)
    sizes = _sizes(depth, factor) if isinstance(pruner, HyperbandPruner) else [1]
    shares = []
    for bracket in range(len(sizes)):
        stops = [0, *(pruner.min_epochs * factor**k for k in range(bracket, depth)), end]
        shares.append(math.fsum(span / factor**k for k, span in enumerate(np.diff(stops))) / end)
    return float(np.average(shares, weights=sizes))
