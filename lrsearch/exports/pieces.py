"""Rates as runs of equal ones: how a table is written into code, and which schedules change in few places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import InvalidInput
from ..schedules import FloatArray, Schedule
from .closed_form import PEAK, ClosedForm, assigned, in_full
from .dialect import PYTHON, Dialect

MAX_UPDATES = 1_000_000
"""Longer schedules are not tabulated."""
MAX_CHANGES = 20_000
"""The most rates that are written into code."""


class Pieces(NamedTuple):
    """Piece i holds ``rates[i]`` from update ``starts[i]`` on; ``starts[0] == 0``."""

    starts: list[int]
    rates: list[float]


def pieces_of(rates: FloatArray) -> Pieces:
    """The runs of equal rates in ``rates``, shape (updates,)."""
    starts = np.flatnonzero(np.append(True, rates[1:] != rates[:-1]))
    return Pieces(starts.tolist(), rates[starts].tolist())


def few_pieces(schedule: Schedule, updates_per_epoch: int | None, most: int) -> Pieces | None:
    """What follows the warm-up as at most ``most`` runs, counted from its end; None where they are more.

    Schedules above ``MAX_UPDATES`` are not looked at.
    """
    clock = schedule.clock(updates_per_epoch)
    if clock.horizon > MAX_UPDATES:
        return None
    found = pieces_of(schedule.lr(np.arange(clock.warmup, clock.horizon + 1), updates_per_epoch))
    return found if len(found.starts) <= most else None


def table_form(rates: FloatArray, dialect: Dialect = PYTHON) -> ClosedForm:
    """``lr(update)`` as a table: the rate of every update in ``rates``; beyond them, the last stays.

    Raises:
        InvalidInput: the rate changes more than ``MAX_CHANGES`` times.
    """
    found = pieces_of(rates)
    if len(found.starts) > MAX_CHANGES:
        raise InvalidInput(
            f"code holds at most {MAX_CHANGES:,} changes of the rate (got {len(found.starts):,}): export `table`",
            field="target",
        )
    constants = [
        "# a rate holds from its start, an update, to the next start",
        assigned("STARTS", found.starts),
        assigned("RATES", found.rates),
        f"{PEAK} = {max(found.rates)!r}  # the highest",
    ]
    index = dialect.passed.format(numbers="STARTS", now="update") + " - 1"
    return in_full(constants, [f"return {dialect.at.format(numbers='RATES', index=index)}"], dialect)
