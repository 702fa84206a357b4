"""Trials in the store: who holds which, and what is still to be done."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, case, select, update

from ..study import Trial
from .tables import STUDIES, TRIALS
from .trial_rows import TrialRows, trial_of

UNDER_WAY = ("queued", "running", "waiting")

# statements that every lease or report runs are built once
_FREE = (
    select(TRIALS)
    .where(TRIALS.c.study == bindparam("its_study"), TRIALS.c.purpose.is_not(None))
    .where(TRIALS.c.lease.is_(None), TRIALS.c.state != "waiting")
    .order_by(TRIALS.c.number)
    .limit(bindparam("at_most"))
)
_HELD = select(
    TRIALS.c.study, TRIALS.c.number, TRIALS.c.state, TRIALS.c.purpose, TRIALS.c.heard, TRIALS.c.attempts,
    TRIALS.c.started_at, TRIALS.c.epochs_trained - TRIALS.c.epochs_repeated + TRIALS.c.epochs_shared,
).where(TRIALS.c.lease == bindparam("its_lease"))  # fmt: skip


class HeldTrial(NamedTuple):
    """What every report looks at of a trial that a lease holds; fields as ``Trial``'s.

    ``epochs`` are those reported, each counted once, over all seeds.
    """

    study: str
    number: int
    state: str
    purpose: str | None
    heard: int
    attempts: int
    started_at: datetime | None
    epochs: int


class Holding(TrialRows):
    """Handing out and taking back."""

    def to_hand_out(self, study: str, limit: int) -> list[Trial]:
        """Trials that something is still to be done on, held by nobody and not waiting, by number."""
        rows = self._connection.execute(_FREE, {"its_study": study, "at_most": limit})
        return [trial_of(row) for row in rows]

    def held(self, lease: str) -> list[HeldTrial]:
        """What a lease holds, by study and number."""
        rows = self._connection.execute(_HELD, {"its_lease": lease})
        return sorted((HeldTrial(*row) for row in rows), key=lambda held: (held.study, held.number))

    def let_go(self, lease: str) -> list[tuple[str, int]]:
        """Take back what a lease holds; running trials are queued again. Answers (study, number), sorted."""
        state = case((TRIALS.c.state == "running", "queued"), else_=TRIALS.c.state)
        statement = update(TRIALS).where(TRIALS.c.lease == lease).values(lease=None, state=state)
        self.n_writes += 1
        rows = self._connection.execute(statement.returning(TRIALS.c.study, TRIALS.c.number))
        return sorted((study, number) for study, number in rows)

    def running_keys(self, comparison: str) -> set[str]:
        """The plan keys of the trials that some lease holds in a comparison's studies."""
        statement = (
            select(TRIALS.c.plan_key)
            .join(STUDIES, STUDIES.c.name == TRIALS.c.study)
            .where(STUDIES.c.comparison == comparison, TRIALS.c.lease.is_not(None), TRIALS.c.plan_key.is_not(None))
        )
        return {key for key in self._connection.execute(statement).scalars() if key is not None}

    def cancel_open(self, study: str, moment: datetime) -> None:
        """Cancel every trial of a study that has not ended, and drop what is still to be done on the others.

        Leases keep what they hold, so that they can be told.
        """
        its = TRIALS.c.study == study
        self.n_writes += 1
        cancelled = {"state": "cancelled", "finished_at": moment}
        self._connection.execute(update(TRIALS).where(its, TRIALS.c.state.in_(UNDER_WAY)).values(cancelled))
        self._connection.execute(update(TRIALS).where(its, TRIALS.c.purpose.is_not(None)).values(purpose=None))
