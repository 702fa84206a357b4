"""Trials in the store: who holds which, and what is still to be done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, and_, bindparam, case, delete, func, not_, or_, select, update

from .tables import STUDIES, TRIALS
from .trial_rows import TrialRows

UNDER_WAY = ("queued", "running", "waiting")

# statements that every lease or report runs are built once
_STUDY = TRIALS.c.study == bindparam("its_study")
_IS_FREE = and_(_STUDY, TRIALS.c.purpose.is_not(None), TRIALS.c.lease.is_(None), TRIALS.c.state != "waiting")
_FREE = (
    select(
        TRIALS.c.number, TRIALS.c.state, TRIALS.c.purpose, TRIALS.c.attempts, TRIALS.c.plan_key, TRIALS.c.root
    )
    .where(_IS_FREE)
    .order_by(TRIALS.c.number)
    .limit(bindparam("at_most"))
)  # fmt: skip
_IS_HELD = case((TRIALS.c.lease.is_not(None), 1), else_=0)
_HOLDERS = (
    select(TRIALS.c.root, TRIALS.c.worker, func.max(_IS_HELD))
    .where(_STUDY, TRIALS.c.worker.is_not(None))
    .where(TRIALS.c.root.in_(select(TRIALS.c.root).where(_IS_FREE, TRIALS.c.root.is_not(None))))
    .group_by(TRIALS.c.root, TRIALS.c.worker)
    .order_by(TRIALS.c.root, TRIALS.c.worker)
)
_LEASES = select(TRIALS.c.lease).distinct().where(_STUDY, TRIALS.c.lease.is_not(None))
_MINE = func.coalesce(func.sum(case((TRIALS.c.lease == bindparam("its_lease"), 1), else_=0)), 0)
_SHARE = select(_MINE, func.count()).where(_STUDY, TRIALS.c.lease.is_not(None))
_UNBEGUN = and_(TRIALS.c.origin == "sampler", TRIALS.c.state == "queued", TRIALS.c.attempts == 0)
_LAST_BEGUN = select(func.coalesce(func.max(TRIALS.c.number), -1)).where(_STUDY, not_(_UNBEGUN))
_HELD = select(
    TRIALS.c.study, TRIALS.c.number, TRIALS.c.state, TRIALS.c.purpose, TRIALS.c.heard, TRIALS.c.attempts,
    TRIALS.c.started_at, TRIALS.c.epochs_trained - TRIALS.c.epochs_repeated + TRIALS.c.epochs_shared,
).where(TRIALS.c.lease == bindparam("its_lease"))  # fmt: skip

_PAUSED = TRIALS.c.study.in_(select(STUDIES.c.name).where(STUDIES.c.state == "paused"))
_AT_WORK = _HELD.where(or_(TRIALS.c.state != "waiting", _PAUSED))
_REPORTED = _HELD.where(
    _STUDY, TRIALS.c.number.in_(bindparam("its_numbers", expanding=True)), TRIALS.c.state == "waiting", not_(_PAUSED)
)
_HOLDS = select(TRIALS.c.number).where(TRIALS.c.lease == bindparam("its_lease")).limit(1)
AT_ONCE = 1000
"""Within the number of parameters that a statement may have."""


class Free(NamedTuple):
    """What handing out looks at of a trial that nobody holds; fields as ``Trial``'s."""

    number: int
    state: str
    purpose: str | None
    attempts: int
    plan_key: str | None
    root: str | None


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

    def to_hand_out(self, study: str, limit: int) -> list[Free]:
        """Trials that something is still to be done on, held by nobody and not waiting, by number."""
        return [Free(*row) for row in self._connection.execute(_FREE, {"its_study": study, "at_most": limit})]

    def holders(self, study: str) -> dict[str, list[tuple[str, bool]]]:
        """Who had trials of the roots of which some are to be handed out: (worker, whether it holds any now)."""
        holders: dict[str, list[tuple[str, bool]]] = {}
        for root, worker, held in self._connection.execute(_HOLDERS, {"its_study": study}):
            holders.setdefault(str(root), []).append((str(worker), bool(held)))
        return holders

    def leases(self, study: str) -> set[str]:
        """The leases that hold any of its trials."""
        return {str(lease) for lease in self._connection.scalars(_LEASES, {"its_study": study})}

    def share(self, study: str, lease: str) -> tuple[int, int]:
        """How many of its trials a lease holds, and all leases together."""
        mine, total = self._connection.execute(_SHARE, {"its_study": study, "its_lease": lease}).one()
        return int(mine), int(total)

    def drop_unbegun(self, study: str) -> bool:
        """Forget the last trials if a sampler drew them and nobody was ever given them; whether there were any."""
        its = {"its_study": study}
        last = self._connection.execute(_LAST_BEGUN, its).scalar_one()
        self.n_writes += 1
        return self._connection.execute(delete(TRIALS).where(_STUDY, TRIALS.c.number > last), its).rowcount > 0

    def held(self, lease: str) -> list[HeldTrial]:
        """What a lease holds, by study and number."""
        return _sorted(self._connection.execute(_HELD, {"its_lease": lease}))

    def held_at_work(self, lease: str, reported: Mapping[str, Sequence[int]]) -> list[HeldTrial]:
        """As ``held``, without what waits at a rung: thousands may, and nothing becomes of them by a report.

        Those ``reported``, numbers by study, are among them all the same, and those of paused studies.
        """
        rows = list(self._connection.execute(_AT_WORK, {"its_lease": lease}))
        for study, numbers in reported.items():
            for first in range(0, len(numbers), AT_ONCE):
                its = {"its_lease": lease, "its_study": study, "its_numbers": numbers[first : first + AT_ONCE]}
                rows += self._connection.execute(_REPORTED, its)
        return _sorted(rows)

    def holds(self, lease: str) -> bool:
        """Whether a lease holds anything."""
        return self._connection.execute(_HOLDS, {"its_lease": lease}).first() is not None

    def let_go(self, lease: str) -> list[tuple[str, int]]:
        """Take back what a lease holds; running trials are queued again. Answers (study, number), sorted."""
        state = case((TRIALS.c.state == "running", "queued"), else_=TRIALS.c.state)
        statement = update(TRIALS).where(TRIALS.c.lease == lease).values(lease=None, state=state)
        self.n_writes += 1
        rows = self._connection.execute(statement.returning(TRIALS.c.study, TRIALS.c.number, TRIALS.c.state)).all()
        for study, number, its_state in rows:
            if its_state == "queued":
                self._notes.moved(study, [number], its_state)
        return sorted((study, number) for study, number, _ in rows)

    def running_keys(self, comparison: str) -> set[str]:
        """The plan keys of the trials that are trained in a comparison's studies; none of those that wait at a rung."""
        statement = (
            select(TRIALS.c.plan_key)
            .join(STUDIES, STUDIES.c.name == TRIALS.c.study)
            .where(STUDIES.c.comparison == comparison, TRIALS.c.plan_key.is_not(None))
            .where(TRIALS.c.lease.is_not(None), TRIALS.c.state != "waiting")
        )
        return {key for key in self._connection.execute(statement).scalars() if key is not None}

    def cancel_open(self, study: str, moment: datetime) -> None:
        """Cancel every trial of a study that has not ended, and drop what is still to be done on the others.

        Leases keep what they hold, so that they can be told.
        """
        its = TRIALS.c.study == study
        self.n_writes += 1
        cancelled = {"state": "cancelled", "finished_at": moment}
        statement = update(TRIALS).where(its, TRIALS.c.state.in_(UNDER_WAY)).values(cancelled)
        numbers = self._connection.execute(statement.returning(TRIALS.c.number)).scalars()
        self._notes.moved(study, numbers, "cancelled")
        self._connection.execute(update(TRIALS).where(its, TRIALS.c.purpose.is_not(None)).values(purpose=None))


def _sorted(rows: Iterable[Row[*tuple[Any, ...]]]) -> list[HeldTrial]:
    return sorted((HeldTrial(*row) for row in rows), key=lambda held: (held.study, held.number))
