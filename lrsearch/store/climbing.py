"""Trials in the store: what rungs look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, select, update

from ..schedules import Schedule
from ..study import Origin, TrialState
from .tables import POINTS, TRIALS
from .trial_rows import TrialRows, schedule_of

_STUDY = TRIALS.c.study == bindparam("its_study")
_ASKED = TRIALS.c.epochs_trained - TRIALS.c.epochs_repeated + TRIALS.c.epochs_shared

# statements that every lease or report runs are built once
_BEGUN = (
    select(TRIALS.c.number, TRIALS.c.origin, TRIALS.c.schedule)
    .where(_STUDY, TRIALS.c.number >= bindparam("start"))
    .order_by(TRIALS.c.number)
)
_STANDS = select(TRIALS.c.number, TRIALS.c.state, TRIALS.c.value, _ASKED).where(_STUDY)
_THESE = _STANDS.where(TRIALS.c.number.in_(bindparam("its_numbers", expanding=True)))
_VALUES = select(POINTS.c.number, POINTS.c.epoch, POINTS.c.objective).where(
    POINTS.c.study == bindparam("its_study"),
    POINTS.c.purpose == "trial",
    POINTS.c.epoch.in_(bindparam("its_epochs", expanding=True)),
)
_THEIR_VALUES = _VALUES.where(POINTS.c.number.in_(bindparam("its_numbers", expanding=True)))
AT_ONCE = 1000
"""Within the number of parameters that a statement may have."""


class Begun(NamedTuple):
    """What never changes of a trial."""

    number: int
    origin: Origin
    schedule: Schedule


class Stand(NamedTuple):
    """How far a trial is: ``epochs`` are those reported, each counted once, over all seeds."""

    state: TrialState
    value: float | None
    epochs: int


class Climbing(TrialRows):
    """Trials that wait at rungs."""

    def begun(self, study: str, *, start: int) -> list[Begun]:
        """The trials numbered ``start`` and above, by number."""
        rows = self._connection.execute(_BEGUN, {"its_study": study, "start": start})
        return [Begun(number, origin, schedule_of(text)) for number, origin, text in rows]  # type: ignore[arg-type]

    def stands(self, study: str, numbers: Sequence[int] | None = None) -> dict[int, Stand]:
        """How far trials are, by number; all of the study's unless ``numbers`` says which."""
        if numbers is None:
            return _by_number(self._connection.execute(_STANDS, {"its_study": study}))
        found: dict[int, Stand] = {}
        for first in range(0, len(numbers), AT_ONCE):
            its = {"its_study": study, "its_numbers": numbers[first : first + AT_ONCE]}
            found |= _by_number(self._connection.execute(_THESE, its))
        return found

    def values_at(
        self, study: str, epochs: Iterable[int], numbers: Sequence[int] | None = None
    ) -> dict[tuple[int, int], list[float | None]]:
        """The objective by (number, epoch) at some epochs, one for every seed that has reported it."""
        values: dict[tuple[int, int], list[float | None]] = {}
        its = {"its_study": study, "its_epochs": sorted(set(epochs))}
        statement = _VALUES if numbers is None else _THEIR_VALUES
        for first in range(0, 1 if numbers is None else len(numbers), AT_ONCE):
            if numbers is not None:
                its["its_numbers"] = numbers[first : first + AT_ONCE]
            for number, epoch, value in self._connection.execute(statement, its):
                values.setdefault((number, epoch), []).append(value)
        return values

    def prune_waiting(self, study: str, moment: datetime) -> None:
        """End every trial that waits as pruned; leases keep what they hold, so that they can be told."""
        pruned = {"state": "pruned", "purpose": None, "finished_at": moment}
        self.n_writes += 1
        statement = update(TRIALS).where(TRIALS.c.study == study, TRIALS.c.state == "waiting")
        numbers = self._connection.execute(statement.values(pruned).returning(TRIALS.c.number)).scalars()
        self._notes.moved(study, numbers, "pruned", was="waiting")


def _by_number(rows: Iterable[Row[*tuple[Any, ...]]]) -> dict[int, Stand]:
    return {number: Stand(state, value, epochs) for number, state, value, epochs in rows}
