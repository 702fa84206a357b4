"""Controls: everything about an update that its schedule decides, as a row of numbers."""

from __future__ import annotations

from enum import IntEnum
from typing import get_args

import numpy as np

from .formula import FloatArray
from .length import whole_updates
from .schedule import History, Schedule, Switch

OPTIMIZERS: tuple[str, ...] = get_args(Switch)
"""The optimisers that may take over; the n-th is number n + 1 in the column ``OPTIMIZER``."""


class Column(IntEnum):
    """What the numbers of a row are."""

    RATE = 0
    """The learning rate; of depth groups the last one's."""
    MOMENTUM = 1
    """The momentum; ``OWN`` = the optimiser's own."""
    OPTIMIZER = 2
    """The optimiser in force: 0 = the recipe's, n = the n-th of ``OPTIMIZERS``."""
    LAYER_DECAY = 3
    """Each depth group's rate is this share of the next one's."""
    FROZEN = 4
    """1 = all depth groups but the last have rate 0."""


OWN = -1.0
DEFAULTS = np.array([0.0, OWN, 0.0, 1.0, 0.0])
"""What a row that ends earlier means; the rate is always there."""


def controls(
    schedule: Schedule, first: int, end: int, updates_per_epoch: int | None, history: History = ()
) -> FloatArray:
    """The controls of updates ``first`` to ``end - 1``, float64 of shape (updates, columns).

    A schedule that moves nothing but the rate has one column, any other all of them; see ``trimmed``.

    Raises:
        InvalidInput: as ``Schedule.lr``.
    """
    updates = np.arange(first, end)
    rates = schedule.lr(updates, updates_per_epoch, history=history)
    if not schedule.wider:
        return rates[:, None]
    clock = schedule.clock(updates_per_epoch)
    rows = np.tile(DEFAULTS, (len(updates), 1))
    rows[:, Column.RATE] = rates
    momentum = schedule.momentum(updates, updates_per_epoch, history=history)
    if momentum is not None:
        rows[:, Column.MOMENTUM] = momentum
    rows[:, Column.LAYER_DECAY] = schedule.layer_decay
    rows[:, Column.FROZEN] = updates < whole_updates(schedule.freeze, clock.updates_per_unit)
    switched = updates >= schedule.switch_update(clock)
    if schedule.switch_to is not None and switched.any():
        rows[switched, Column.OPTIMIZER] = OPTIMIZERS.index(schedule.switch_to) + 1
        rows[switched, Column.MOMENTUM] = schedule.switch_momentum or OWN
    return rows


def trimmed(interval: FloatArray) -> FloatArray:
    """One interval's controls without the last columns that say what would hold anyway.

    So intervals that differ in nothing have equal controls, whatever else their schedules do before and after.
    """
    columns = interval.shape[1]
    while columns > 1 and (interval[:, columns - 1] == DEFAULTS[columns - 1]).all():
        columns -= 1
    return interval[:, :columns]
