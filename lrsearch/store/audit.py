"""The audit: a row for every change."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, select

from ..study import AuditEntry, Page
from . import cursors
from .noun import Noun
from .tables import AUDIT


class Audit(Noun):
    """The verbs on audit rows."""

    def add(self, entry: AuditEntry, *, kept: timedelta) -> None:
        """Store a row; those older than ``kept`` are forgotten."""
        self._connection.execute(delete(AUDIT).where(AUDIT.c.at < self._now() - kept))
        self._connection.execute(insert(AUDIT), entry.model_dump())

    def page(
        self,
        *,
        name: str | None = None,
        resource: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[AuditEntry]:
        """Rows, newest first; ``resource`` also finds what lies below it.

        Raises:
            InvalidInput: a cursor of another listing.
        """
        statement = select(AUDIT).order_by(AUDIT.c.number.desc()).limit(cursors.page_of(limit) + 1)
        if name is not None:
            statement = statement.where(AUDIT.c.name == name)
        if resource is not None:
            below = AUDIT.c.resource.startswith(f"{resource}/", autoescape=True)
            statement = statement.where((AUDIT.c.resource == resource) | below)
        if since is not None:
            statement = statement.where(AUDIT.c.at >= since)
        if cursor is not None:
            (after,) = cursors.read("audit", cursor, (int,))
            statement = statement.where(AUDIT.c.number < after)
        rows = self._connection.execute(statement).all()
        following = cursors.write("audit", (rows[limit - 1].number,)) if len(rows) > limit else None
        return Page[AuditEntry](items=tuple(map(_entry, rows[:limit])), next=following)


def _entry(row: Row[*tuple[Any, ...]]) -> AuditEntry:
    return AuditEntry.model_validate({name: row._mapping[name] for name in AuditEntry.model_fields})
