"""What the verbs of every noun stand on: one transaction's connection."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from ..errors import Conflict, NotFound


class Noun:
    """The verbs of one noun within one transaction."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def _add(self, table: Table[Any], row: dict[str, Any], taken: str) -> None:
        """Insert a row; Conflict, with the message ``taken``, where its key exists (the transaction goes on)."""
        statement = self._insert(table).on_conflict_do_nothing()
        if self._connection.execute(statement.values(row)).rowcount == 0:
            raise Conflict(taken)

    def _put(self, table: Table[Any], rows: list[dict[str, Any]]) -> None:
        """Insert rows, replacing those whose key exists."""
        if not rows:
            return
        keys = [column.name for column in table.primary_key]
        statement = self._insert(table)
        changes = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        self._connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), rows)

    def _insert(self, table: Table[Any]) -> Any:
        # the two dialects' inserts share their methods, but no type
        return postgresql.insert(table) if self._connection.dialect.name == "postgresql" else sqlite.insert(table)


def refuse(error: IntegrityError, *, taken: str, missing: str) -> NoReturn:
    """Raise what an integrity error means: NotFound where a parent is ``missing``, else Conflict: it is ``taken``."""
    if "foreign key" in str(error.orig).lower():
        raise NotFound(missing) from error
    raise Conflict(taken) from error
