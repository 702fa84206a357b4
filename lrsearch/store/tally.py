"""Trials in the store: what can be counted, summed and ranked over a study without reading every trial whole."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select

from ..study import TERMINAL, EpochProgress, Outcome
from .columns import from_json
from .noun import Noun
from .tables import TRIALS


class Finished(NamedTuple):
    """What a trial that has ended contributes to a comparison.

    Attributes:
        value: its value; None unless it completed.
        epochs: epochs over its seeds that it asked for and got: trained or shared, each counted once.
    """

    value: float | None
    epochs: int


_ASKED = TRIALS.c.epochs_trained - TRIALS.c.epochs_repeated + TRIALS.c.epochs_shared


class Tally(Noun):
    """Counts, sums and ranks."""

    def outcomes(self, study: str, *, start: int = 0) -> list[Outcome]:
        """What a sampler needs to know of the trials numbered ``start`` and above, by number."""
        columns = (TRIALS.c.number, TRIALS.c.state, TRIALS.c.value, TRIALS.c.params, TRIALS.c.origin)
        statement = select(*columns).where(TRIALS.c.study == study, TRIALS.c.number >= start).order_by(TRIALS.c.number)
        rows = self._connection.execute(statement).all()
        params = from_json(f"[{','.join([row.params for row in rows])}]")  # much faster than one by one
        return [
            Outcome(number, state, value, its, origin)  # type: ignore[arg-type]  # only such states are stored
            for (number, state, value, _, origin), its in zip(rows, params, strict=True)
        ]

    def next_number(self, study: str) -> int:
        """The number of the study's next trial."""
        largest = select(func.max(TRIALS.c.number)).where(TRIALS.c.study == study)
        newest = self._connection.execute(largest).scalar_one()
        return 0 if newest is None else newest + 1

    def states(self, study: str) -> dict[str, int]:
        """Number of trials by state; states without trials are left out."""
        counts = select(TRIALS.c.state, func.count()).where(TRIALS.c.study == study).group_by(TRIALS.c.state)
        return dict(sorted((state, count) for state, count in self._connection.execute(counts)))

    def epochs(self, study: str) -> EpochProgress:
        """Epochs over all trials and seeds."""
        trained, shared, repeated = TRIALS.c.epochs_trained, TRIALS.c.epochs_shared, TRIALS.c.epochs_repeated
        sums = [func.coalesce(func.sum(column), 0) for column in (_ASKED, trained, shared, repeated)]
        row = self._connection.execute(select(*sums).where(TRIALS.c.study == study)).one()
        asked, trained_in_all, shared_in_all, repeated_in_all = map(int, row)
        return EpochProgress(asked=asked, trained=trained_in_all, shared=shared_in_all, repeated=repeated_in_all)

    def finishes(self, study: str) -> list[Finished]:
        """Every trial that has ended, by number."""
        value = TRIALS.c.value
        statement = select(TRIALS.c.state, value, _ASKED).where(TRIALS.c.study == study, TRIALS.c.state.in_(TERMINAL))
        rows = self._connection.execute(statement.order_by(TRIALS.c.number))
        return [Finished(value if state == "completed" else None, int(epochs)) for state, value, epochs in rows]

    def open_work(self, study: str) -> int:
        """Number of trials that something is still to be done on."""
        statement = select(func.count()).where(TRIALS.c.study == study, TRIALS.c.purpose.is_not(None))
        return self._connection.execute(statement).scalar_one()

    def failed_in_a_row(self, study: str) -> int:
        """How many of the trials that ended last failed, with none that ended otherwise in between."""
        count = 0
        statement = select(TRIALS.c.state).where(TRIALS.c.study == study, TRIALS.c.finished_at.is_not(None))
        newest = statement.order_by(TRIALS.c.finished_at.desc(), TRIALS.c.number.desc())
        with self._connection.execute(newest.limit(1000)) as result:
            for state in result.scalars():
                if state != "failed":
                    break
                count += 1
        return count

    def last_error(self, study: str) -> str | None:
        """The error of the trial that failed last."""
        statement = select(TRIALS.c.rest).where(TRIALS.c.study == study, TRIALS.c.state == "failed")
        newest = statement.order_by(TRIALS.c.finished_at.desc(), TRIALS.c.number.desc()).limit(1)
        rest = self._connection.execute(newest).scalar_one_or_none()
        return None if rest is None else from_json(rest)["error"]

    def _leading(self, study: str, *, minimize: bool, top: int) -> list[int]:
        mean, value, number = TRIALS.c.confirmed_mean, TRIALS.c.value, TRIALS.c.number
        completed = select(number).where(TRIALS.c.study == study, TRIALS.c.state == "completed", value.is_not(None))
        first, then = (column if minimize else column.desc() for column in (mean, value))
        confirmed = completed.where(mean.is_not(None)).order_by(first, then, number).limit(top)
        leaders = list(self._connection.execute(confirmed).scalars())
        if len(leaders) < top:
            others = completed.where(mean.is_(None)).order_by(then, number).limit(top - len(leaders))
            leaders += self._connection.execute(others).scalars()
        return leaders
