"""What the verbs of every noun stand on: one transaction's connection."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, NoReturn

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from ..errors import Conflict, NotFound
from .notes import Notes


class Noun:
    """The verbs of one noun within one transaction."""

    def __init__(self, connection: Connection, now: Callable[[], datetime], notes: Notes | None = None) -> None:
        self._connection = connection
        self._now = now
        self._notes = notes or Notes()

    def _add(self, table: Table[Any], row: dict[str, Any], taken: str) -> None:
        """Insert a row; Conflict, with the message ``taken``, where its key exists (the transaction goes on)."""
        if self._connection.execute(self._new(table).returning(*table.primary_key), row).first() is None:
            raise Conflict(taken)

    def _new(self, table: Table[Any]) -> Any:
        """An insert that leaves out rows whose key exists."""
        return _insert(self._connection.dialect.name, table).on_conflict_do_nothing()

    def _put(self, table: Table[Any], rows: list[dict[str, Any]]) -> None:
        """Insert rows, replacing those whose key exists."""
        if rows:
            self._connection.execute(_upsert(self._connection.dialect.name, table, tuple(rows[0])), rows)


def _insert(dialect: str, table: Table[Any]) -> Any:
    # the two dialects' inserts share their methods, but no type
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def _upsert(dialect: str, table: Table[Any], columns: tuple[str, ...]) -> Any:
    keys = [column.name for column in table.primary_key]
    statement = _insert(dialect, table)
    changes = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changes)


def refuse(error: IntegrityError, *, taken: str, missing: str) -> NoReturn:
    """Raise what an integrity error means: NotFound where a parent is ``missing``, else Conflict: it is ``taken``."""
    if "foreign key" in str(error.orig).lower():
        raise NotFound(missing) from error
    raise Conflict(taken) from error
