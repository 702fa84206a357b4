"""What a database complains about, in our words."""

from __future__ import annotations

import sqlite3

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from ..errors import InvalidInput, LrsearchError, Unavailable

AWAY = "the database cannot be reached or went away; check LRSEARCH_DATABASE_URL and that it runs, then try again"
BUSY = "the database is busy: other writers kept it for too long; try again"
FULL = "the disk of the database is full: nothing was stored; free some space and try again"
BROKEN = (
    "the disk of the database answered with an error (a quota, or a file system that went read-only): "
    "nothing was stored; mend it and try again"
)
READ_ONLY = "the database is read-only: nothing was stored; make it writable and try again"
NOT_MIGRATED = "the database is not at the newest version: run `lrsearch db migrate`"
DAMAGED = "the database file is damaged or is no SQLite database: restore it from a backup"
NOT_STORABLE = "the database cannot hold this text or number; leave out NUL characters and lone surrogates"

SQLITE: dict[str, str] = {
    "SQLITE_BUSY": BUSY,
    "SQLITE_LOCKED": BUSY,
    "SQLITE_FULL": FULL,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_PERM": READ_ONLY,
    "SQLITE_CORRUPT": DAMAGED,
    "SQLITE_NOTADB": DAMAGED,
    "SQLITE_CANTOPEN": AWAY,
    "SQLITE_IOERR": BROKEN,
    "SQLITE_INTERRUPT": AWAY,
    "SQLITE_PROTOCOL": BUSY,
    "SQLITE_NOMEM": AWAY,
}
"""By primary result code (https://www.sqlite.org/rescode.html)."""

POSTGRES: dict[str, str] = {
    "25006": READ_ONLY,
    "25P03": AWAY,
    "40001": BUSY,
    "40P01": BUSY,
    "42703": NOT_MIGRATED,
    "42P01": NOT_MIGRATED,
    "53100": FULL,
    "58030": BROKEN,
    "55P03": BUSY,
    "57014": BUSY,
}
"""By SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""

FULL_AT_THE_DOOR = ("No space left on device", "could not write init file")
"""How Postgres refuses a connection when its disk is full: such refusals have no SQLSTATE."""


def translate(context: ExceptionContext) -> None:
    """SQLAlchemy's ``handle_error`` hook: raise our error for a complaint that has a meaning for the caller."""
    if context.is_pre_ping:
        return  # the pool replaces a connection that went away
    failure = meaning(context.original_exception)
    if failure is not None:
        raise failure from context.original_exception


def meaning(error: BaseException) -> LrsearchError | None:
    """Our error for a driver's; None for integrity errors, which the verbs explain, and for bugs."""
    if isinstance(error, OverflowError | UnicodeEncodeError):
        return InvalidInput(NOT_STORABLE)
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "DataError" in kinds:
        return InvalidInput(NOT_STORABLE)
    state = getattr(error, "sqlstate", None)
    if state in POSTGRES:
        return Unavailable(POSTGRES[state])
    if state is None and any(words in str(error) for words in FULL_AT_THE_DOOR):
        return Unavailable(FULL)
    return Unavailable(AWAY) if kinds & {"OperationalError", "InterfaceError"} else None


def is_complaint(error: BaseException) -> bool:
    """Whether it comes from the database itself, and has none of the meanings above."""
    return isinstance(error, DBAPIError)


def _of_sqlite(error: sqlite3.Error) -> LrsearchError | None:
    if isinstance(error, sqlite3.IntegrityError):
        return None
    name = getattr(error, "sqlite_errorname", "")
    for code, message in SQLITE.items():
        if name.startswith(code):
            return Unavailable(message)
    if str(error).startswith(("no such table", "no such column")):
        return Unavailable(NOT_MIGRATED)
    return InvalidInput(NOT_STORABLE) if isinstance(error, sqlite3.DataError) else None
