"""Trials in the store: what can be counted, summed and ranked over a study without reading every trial whole."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from sys import intern
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, and_, bindparam, func, or_, select, union_all

from ..study import TERMINAL, EpochProgress, Outcome
from .columns import from_json
from .noun import Noun
from .tables import STUDIES, TRIALS


class Finished(NamedTuple):
    """What a trial that has ended contributes to a comparison.

    Attributes:
        value: its value; None unless it completed.
        epochs: epochs over its seeds that it asked for and got: trained or shared, each counted once.
    """

    value: float | None
    epochs: int


_STUDY = TRIALS.c.study == bindparam("its_study")
_ASKED = TRIALS.c.epochs_trained - TRIALS.c.epochs_repeated + TRIALS.c.epochs_shared
_ENDED = (TRIALS.c.finished_at.desc(), TRIALS.c.number.desc())

# statements that every lease or report runs are built once
_OUTCOMES = (
    select(TRIALS.c.number, TRIALS.c.state, TRIALS.c.value, TRIALS.c.params, TRIALS.c.origin)
    .where(_STUDY, TRIALS.c.number >= bindparam("start"))
    .order_by(TRIALS.c.number)
)
_NEWEST = select(func.max(TRIALS.c.number)).where(_STUDY)
_SUMS = (
    func.coalesce(func.sum(TRIALS.c.epochs_trained), 0),
    func.coalesce(func.sum(TRIALS.c.epochs_shared), 0),
    func.coalesce(func.sum(TRIALS.c.epochs_repeated), 0),
)
_STATES = select(TRIALS.c.state, func.count(), *_SUMS).where(_STUDY).group_by(TRIALS.c.state)
_STATES_FROM = (
    # not by the column itself: SQLite would read all of the study's index, where they are in order
    select(func.lower(TRIALS.c.state), func.count(), *_SUMS)
    .where(_STUDY, TRIALS.c.number >= bindparam("start"))
    .group_by(func.lower(TRIALS.c.state))
)
_FIRST_OPEN = select(func.min(TRIALS.c.number)).where(
    _STUDY, TRIALS.c.purpose.is_not(None), TRIALS.c.number >= bindparam("start")
)
_TOTALS = select(TRIALS.c.state, func.count(), *_SUMS).group_by(TRIALS.c.state)
KINDS = ("trained", "shared", "repeated")
_VALUES: Select[*tuple[Any, ...]] = select(TRIALS.c.number, TRIALS.c.value)
_FINISHES = (
    select(TRIALS.c.state, TRIALS.c.value, _ASKED)
    .where(_STUDY, TRIALS.c.state.in_(sorted(TERMINAL)))
    .order_by(TRIALS.c.number)
)
_OPEN_WORK = select(func.count()).where(_STUDY, TRIALS.c.purpose.is_not(None))
_AT_WORK = (
    select(STUDIES.c.owner, func.count())
    .select_from(TRIALS.join(STUDIES, STUDIES.c.name == TRIALS.c.study))
    .where(TRIALS.c.lease.is_not(None), TRIALS.c.state != "waiting")
    .group_by(STUDIES.c.owner)
)
_LAST = (
    select(TRIALS.c.state, TRIALS.c.finished_at, TRIALS.c.number, TRIALS.c.rest)
    .where(_STUDY, TRIALS.c.finished_at.is_not(None))
    .order_by(*_ENDED)
    .limit(1)
)
_LAST_FAILED = _LAST.where(TRIALS.c.state == "failed")
_LAST_OTHER = _LAST.where(TRIALS.c.state != "failed")
_FAILED = select(func.count()).where(_STUDY, TRIALS.c.finished_at.is_not(None), TRIALS.c.state == "failed")
_FAILED_SINCE = _FAILED.where(
    or_(
        TRIALS.c.finished_at > bindparam("moment"),
        and_(TRIALS.c.finished_at == bindparam("moment"), TRIALS.c.number > bindparam("its_number")),
    )
)


class Tally(Noun):
    """Counts, sums and ranks."""

    def outcomes(self, study: str, *, start: int = 0) -> list[Outcome]:
        """What a sampler needs to know of the trials numbered ``start`` and above, by number."""
        rows = self._connection.execute(_OUTCOMES, {"its_study": study, "start": start}).all()
        params = from_json(f"[{','.join([row.params for row in rows])}]")  # much faster than one by one
        return [
            Outcome(number, intern(state), value, its, intern(origin))  # type: ignore[arg-type]  # only such are stored
            for (number, state, value, _, origin), its in zip(rows, params, strict=True)
        ]

    def next_number(self, study: str) -> int:
        """The number of the study's next trial."""
        newest = self._connection.execute(_NEWEST, {"its_study": study}).scalar_one()
        return 0 if newest is None else newest + 1

    def states(self, study: str, *, start: int = 0) -> tuple[dict[str, int], EpochProgress]:
        """Number of trials by state, states without trials left out; and epochs, over all trials and seeds.

        Of the trials numbered ``start`` and above.
        """
        statement = _STATES_FROM if start else _STATES
        rows = self._connection.execute(statement, {"its_study": study, "start": start}).all()
        sums = [sum(int(row[column]) for row in rows) for column in (2, 3, 4)]
        return dict(sorted((row[0], row[1]) for row in rows)), _progress(*sums)

    def first_open(self, study: str, *, start: int = 0) -> int:
        """The first trial from ``start`` on that something is still to be done on; else the number of the next."""
        first = self._connection.execute(_FIRST_OPEN, {"its_study": study, "start": start}).scalar_one()
        return self.next_number(study) if first is None else first

    def totals(self) -> tuple[dict[str, int], dict[str, int]]:
        """Over all studies: number of trials by state, and epochs by kind."""
        rows = self._connection.execute(_TOTALS).all()
        epochs = {kind: sum(int(row[place]) for row in rows) for place, kind in enumerate(KINDS, 2)}
        return {str(row[0]): int(row[1]) for row in rows}, epochs

    def finishes(self, study: str) -> list[Finished]:
        """Every trial that has ended, by number."""
        rows = self._connection.execute(_FINISHES, {"its_study": study})
        return [Finished(value if state == "completed" else None, int(epochs)) for state, value, epochs in rows]

    def open_work(self, study: str) -> int:
        """Number of trials that something is still to be done on."""
        return self._connection.execute(_OPEN_WORK, {"its_study": study}).scalar_one()

    def at_work(self) -> dict[str, int]:
        """Number of trials that are held and do not wait, by the owner of their study."""
        return {str(owner): count for owner, count in self._connection.execute(_AT_WORK)}

    def failed_in_a_row(self, study: str) -> int:
        """How many of the trials that ended last failed, with none that ended otherwise in between."""
        its = {"its_study": study}
        last = self._connection.execute(_LAST, its).first()
        if last is None or last.state != "failed":
            return 0
        other = self._connection.execute(_LAST_OTHER, its).first()
        if other is None:
            return self._connection.execute(_FAILED, its).scalar_one()
        since = {"moment": other.finished_at, "its_number": other.number}
        return self._connection.execute(_FAILED_SINCE, its | since).scalar_one()

    def last_error(self, study: str) -> str | None:
        """The error of the trial that failed last."""
        last = self._connection.execute(_LAST_FAILED, {"its_study": study}).first()
        return None if last is None else from_json(last.rest)["error"]

    def leading(self, study: str, *, minimize: bool) -> list[tuple[int, float]]:
        """The best completed trial's number and value; nothing while there is none."""
        return [(number, value) for number, value in self._ranked(_VALUES, study, minimize=minimize, top=1)]

    def _ranked(
        self, what: Select[*tuple[Any, ...]], study: str, *, minimize: bool, top: int
    ) -> Iterable[Row[*tuple[Any, ...]]]:
        """``what`` of the best completed trials, the best first."""
        return self._connection.execute(_ranks(what, minimize), {"its_study": study, "top": top})


@cache
def _ranks(what: Select[*tuple[Any, ...]], minimize: bool) -> Select[*tuple[Any, ...]]:
    """``what`` of completed trials by confirmed mean, then of those without one by value.

    The best of both kinds are found by their indexes, and only they are read whole.
    """
    mean, value, number = TRIALS.c.confirmed_mean, TRIALS.c.value, TRIALS.c.number
    by_mean, by_value = (column if minimize else column.desc() for column in (mean, value))
    completed = select(number).where(_STUDY, TRIALS.c.state == "completed", value.is_not(None))
    completed = completed.limit(bindparam("top"))
    confirmed = completed.where(mean.is_not(None)).order_by(by_mean, by_value, number).subquery()
    others = completed.where(mean.is_(None)).order_by(by_value, number).subquery()
    best = what.where(_STUDY, number.in_(union_all(select(confirmed), select(others))))
    return best.order_by(mean.is_(None), by_mean, by_value, number).limit(bindparam("top"))


def _progress(trained: int, shared: int, repeated: int) -> EpochProgress:
    return EpochProgress(asked=trained - repeated + shared, trained=trained, shared=shared, repeated=repeated)
