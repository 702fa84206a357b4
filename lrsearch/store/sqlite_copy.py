"""Copies of a SQLite database, by SQLite's own backup: whole and of one moment, whoever is writing meanwhile."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection

from ..errors import Conflict, InvalidInput, Unavailable
from .failures import AWAY, meaning

IN_USE = "{} is in use: stop the service and whatever else works with it, then try again"


def has_data(connection: Connection) -> bool:
    """Whether any table has a row, the version aside."""
    tables = connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name != 'alembic_version'"
    )
    return any(
        connection.exec_driver_sql(f'SELECT 1 FROM "{name}" LIMIT 1').first() is not None  # its own names
        for name in tables.scalars().all()
    )


def file_of(url: URL) -> Path:
    """The file behind a URL.

    Raises:
        InvalidInput: it is a database in memory.
    """
    if url.database in (None, "", ":memory:"):
        raise InvalidInput("a database in memory has no file to copy", field="--database")
    return Path(str(url.database))


def back_up(url: URL, file: Path) -> None:
    """Copy the database to ``file``, replacing it once the copy is whole and checked.

    Raises:
        Unavailable: the database cannot be read, or the file not be written.
    """
    source, partial = file_of(url), file.with_name(f"{file.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        with _plainly(), closing(_open(source, "rw")) as read, closing(sqlite3.connect(partial)) as write:
            read.backup(write)
            write.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        check(partial)
        os.replace(partial, file)
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def put_back(url: URL, file: Path, *, force: bool) -> None:
    """Make the database what ``file`` holds, in one transaction.

    Raises:
        InvalidInput: the file is damaged, or none of ours.
        Conflict: there is a database already and ``force`` is not set.
        Unavailable: the database is in use.
    """
    target = file_of(url)
    check(file)
    if target.exists() and target.stat().st_size > 0 and not force:
        raise Conflict(f"there is a database at {target} already: --force replaces it by what {file} holds")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _plainly():
        try:
            _copy_into(target, file)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # what is there cannot even be read: often why somebody puts a backup back
            _set_aside(target)
            _copy_into(target, file)


def _copy_into(target: Path, file: Path) -> None:
    with closing(_open(file, "ro")) as read, closing(sqlite3.connect(target, timeout=1)) as write:
        # leaving the write-ahead log needs the file for oneself, which another process that has it open prevents
        try:
            write.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            raise Unavailable(IN_USE.format(target)) from error
        read.backup(write)


def _set_aside(damaged: Path) -> None:
    """Rename a file that is no database any more, and what SQLite keeps beside it: nothing is thrown away."""
    for end in ("", "-wal", "-shm"):
        beside = damaged.with_name(f"{damaged.name}{end}")
        if beside.exists():
            os.replace(beside, damaged.with_name(f"{damaged.name}.damaged{end}"))


def check(file: Path) -> None:
    """See that a file is a whole database of ours.

    Raises:
        InvalidInput: it is missing, damaged, or none of ours.
    """
    if not file.is_file():
        raise InvalidInput(f"there is no file {file}", field="FILE")
    try:
        with closing(_open(file, "ro")) as read:
            said = [str(row[0]) for row in read.execute("PRAGMA quick_check(3)")]
            broken = said if said != ["ok"] else list(read.execute("PRAGMA foreign_key_check").fetchmany(3))
            version = read.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise InvalidInput(f"{file} is damaged, or no database of lrsearch ({error})", field="FILE") from error
    if broken or version is None:
        raise InvalidInput(f"{file} is damaged: {broken or 'it has no version'}", field="FILE")


@contextmanager
def _plainly() -> Iterator[None]:
    """SQLite's errors in our words."""
    try:
        yield
    except sqlite3.Error as error:
        raise meaning(error) or Unavailable(AWAY) from error


def _open(file: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode={mode}", uri=True, timeout=15)
