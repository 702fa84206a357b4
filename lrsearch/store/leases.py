"""Leases in the store."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, bindparam, delete, func, or_, select, update

from ..errors import NotFound
from .columns import from_json, to_json
from .noun import Noun
from .tables import LEASES

REMEMBERED = timedelta(days=7)
"""How long an ended lease can be told from one that never was."""

# statements that every report runs are built once
_ITS = and_(LEASES.c.lease == bindparam("its_lease"), LEASES.c.ended_at.is_(None))
_ONE = select(LEASES).where(_ITS)
_CHANGE = update(LEASES).where(_ITS)
_WORKING = (
    select(LEASES.c.tasks, func.count(LEASES.c.worker.distinct()))
    .where(LEASES.c.ended_at.is_(None), LEASES.c.expires_at > bindparam("now"), LEASES.c.hold > 0)
    .where(LEASES.c.worker != bindparam("besides"))
    .where(or_(LEASES.c.only_study.is_(None), LEASES.c.only_study == bindparam("its_study")))
    .where(LEASES.c.recipe.in_(bindparam("its_recipes", expanding=True)))
    .group_by(LEASES.c.tasks)
)


@dataclass(frozen=True)
class LeaseRow:
    """A worker's lease.

    Attributes:
        lease: its id.
        worker: who holds it.
        owner: the name of the token that asked for it.
        hold: how many trials the worker wants to hold, >= 0.
        only_study: the one study it may work on; None = any.
        tasks: the tasks that the worker can train; None = those of the built-in catalog.
        recipe: the recipe that all its assignments share, as canonical JSON; empty = none yet.
        expires_at: when it ends unless it is renewed.
    """

    lease: str
    worker: str
    owner: str
    hold: int
    only_study: str | None
    tasks: tuple[str, ...] | None
    recipe: str
    expires_at: datetime


class Leases(Noun):
    """The verbs on leases."""

    def add(self, row: LeaseRow) -> None:
        """Store a lease; those that ended long ago are forgotten. Conflict if the id exists."""
        self._connection.execute(delete(LEASES).where(LEASES.c.ended_at < self._now() - REMEMBERED))
        self._add(LEASES, _columns(asdict(row)), f"there is a lease `{row.lease}` already")

    def get(self, lease: str) -> LeaseRow:
        """A lease that has not ended. Raises NotFound."""
        row = self.find(lease)
        if row is None:
            raise _missing(lease)
        return row

    def find(self, lease: str) -> LeaseRow | None:
        """A lease that has not ended, or None."""
        row = self._connection.execute(_ONE, {"its_lease": lease}).one_or_none()
        return None if row is None else _lease(row)

    def was(self, lease: str) -> bool:
        """Whether there was such a lease that has ended."""
        statement = select(LEASES.c.lease).where(LEASES.c.lease == lease, LEASES.c.ended_at.is_not(None))
        return self._connection.execute(statement).first() is not None

    def change(self, lease: str, **fields: Any) -> None:
        """Set fields of a lease that has not ended. Raises NotFound."""
        if self._connection.execute(_CHANGE, _columns(fields) | {"its_lease": lease}).rowcount == 0:
            raise _missing(lease)

    def delete(self, lease: str) -> None:
        """End a lease; ending it twice is the same as once."""
        self._connection.execute(_CHANGE, {"ended_at": self._now(), "its_lease": lease})

    def of_worker(self, worker: str) -> list[LeaseRow]:
        """A worker's leases that have not ended."""
        statement = select(LEASES).where(LEASES.c.worker == worker, LEASES.c.ended_at.is_(None))
        return sorted(map(_lease, self._connection.execute(statement)), key=lambda row: (row.expires_at, row.lease))

    def n_working(
        self, study: str, *, recipes: Collection[str], besides: str, now: datetime
    ) -> list[tuple[tuple[str, ...] | None, int]]:
        """How many workers may work on a study now.

        Args:
            study: its name.
            recipes: only those whose assignments share one of these.
            besides: a worker that is not counted.
            now: whose lease has ended by then is not counted either.

        Returns:
            Their number by the tasks that they can train; None = those of the built-in catalog.
        """
        its = {"its_study": study, "its_recipes": list(recipes), "besides": besides, "now": now}
        return [(_tasks(tasks), n) for tasks, n in self._connection.execute(_WORKING, its)]

    def n_live(self) -> int:
        """How many leases have not ended."""
        statement = select(func.count()).select_from(LEASES).where(LEASES.c.ended_at.is_(None))
        return int(self._connection.execute(statement).scalar_one())

    def expired(self, now: datetime) -> list[LeaseRow]:
        """Leases whose time is over and that have not ended, the oldest first."""
        statement = select(LEASES).where(LEASES.c.expires_at <= now, LEASES.c.ended_at.is_(None))
        return sorted(map(_lease, self._connection.execute(statement)), key=lambda row: (row.expires_at, row.lease))


def _missing(lease: str) -> NotFound:
    return NotFound(f"there is no lease `{lease:.100}`")


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    if fields.get("tasks") is not None:
        return fields | {"tasks": to_json(fields["tasks"])}
    return fields


def _lease(row: Row[*tuple[Any, ...]]) -> LeaseRow:
    columns = dict(row._mapping)
    del columns["ended_at"]
    tasks = columns.pop("tasks")
    return LeaseRow(**columns, tasks=_tasks(tasks))


def _tasks(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(from_json(text))
