"""Controls: everything about an update that its schedule decides, as a row of numbers."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import numpy as np
from pydantic import Field

from ..frozen import Real
from .formula import FloatArray
from .length import whole_updates

if TYPE_CHECKING:
    from .schedule import Clock, History, Schedule

Momentum = Annotated[Real, Field(ge=0, lt=1)]
Switch = Literal["sgd", "adam", "adamw", "rmsprop", "adagrad", "ranger"]
"""The optimisers that may take over; their places in this row are part of every key, so new ones go to its end."""
OPTIMIZERS: tuple[str, ...] = get_args(Switch)
"""The optimisers that may take over; the n-th is number n + 1 in the column ``OPTIMIZER``."""
WIDER = (
    *("momentum_at_peak", "momentum_at_low", "layer_decay", "freeze"),
    *("switch_to", "switch_at", "switch_factor", "switch_momentum"),
)
"""The fields, in every family, that control more than one rate for all parameters."""


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
"""What a row that ends earlier means; the rate is always there.

Columns beyond these are the rates of the recipe's parameter groups, by name; ``OWN`` = the rate of all others.
"""


def wider(schedule: Schedule) -> tuple[str, ...]:
    """The parameters in force that control more than one rate for all: momentum, groups, the optimiser."""
    momentum = tuple(name for name in ("momentum_at_peak", "momentum_at_low") if getattr(schedule, name) is not None)
    groups = ("layer_decay",) * (schedule.layer_decay != 1) + ("freeze",) * (schedule.freeze > 0)
    switches = schedule.switch_to is not None and schedule.switch_at < schedule.horizon
    return momentum + groups + ("switch_to",) * switches + ("groups",) * bool(schedule.groups)


def switch_update(schedule: Schedule, clock: Clock) -> float:
    """The first update of the second optimiser; infinite where there is none."""
    unit = schedule.eval_every or 1
    interval = schedule.eval_every or clock.updates_per_unit
    first = max(1, whole_updates(schedule.switch_at / unit, 1)) * interval
    return first if schedule.switch_to is not None and first < clock.horizon else math.inf


def moved_momentum(schedule: Schedule, share: FloatArray, lowest: FloatArray) -> FloatArray:
    """The momentum at a ``share`` of the peak rate, where ``lowest`` is the least share of that part.

    The formula is ``Schedule.momentum``'s; one of the two momenta must be given. float64 of the shape of ``share``.
    """
    peak, low = schedule.momentum_at_peak, schedule.momentum_at_low
    peak, low = low if peak is None else peak, peak if low is None else low
    assert peak is not None
    assert low is not None
    room = 1 - lowest
    risen = np.clip(np.where(room > 0, (share - lowest) / np.where(room > 0, room, 1.0), 1.0), 0.0, 1.0)
    moved: FloatArray = low + (peak - low) * risen
    return moved


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
    rows = np.tile(np.append(DEFAULTS, [OWN] * len(schedule.groups)), (len(updates), 1))
    rows[:, Column.RATE] = rates
    momentum = schedule.momentum(updates, updates_per_epoch, history=history)
    if momentum is not None:
        rows[:, Column.MOMENTUM] = momentum
    rows[:, Column.LAYER_DECAY] = schedule.layer_decay
    rows[:, Column.FROZEN] = updates < whole_updates(schedule.freeze, clock.updates_per_unit)
    switched = updates >= switch_update(schedule, clock)
    if schedule.switch_to is not None and switched.any():
        rows[switched, Column.OPTIMIZER] = OPTIMIZERS.index(schedule.switch_to) + 1
        rows[switched, Column.MOMENTUM] = schedule.switch_momentum or OWN
    for column, (_, own) in enumerate(schedule.groups, start=len(Column)):
        rows[:, column] = own.lr(updates, updates_per_epoch)
    return rows


def trimmed(interval: FloatArray) -> FloatArray:
    """One interval's controls without the last columns that say what would hold anyway.

    So intervals that differ in nothing have equal controls, whatever else their schedules do before and after.
    """
    if interval.shape[1] > len(Column):
        interval = _without_own_rates(interval)
    columns = interval.shape[1]
    while columns > 1 and (interval[:, columns - 1] == _default(columns - 1)).all():
        columns -= 1
    return interval[:, :columns]


def _without_own_rates(interval: FloatArray) -> FloatArray:
    """``OWN`` for the rates of parameter groups that are those of all others."""
    one_rate = (interval[:, Column.LAYER_DECAY] == 1) & (interval[:, Column.FROZEN] == 0)
    rates = interval[:, len(Column) :]
    same = one_rate[:, None] & (rates == interval[:, : Column.RATE + 1])
    return np.hstack([interval[:, : len(Column)], np.where(same, OWN, rates)])


def _default(column: int) -> float:
    return float(DEFAULTS[column]) if column < len(DEFAULTS) else OWN
