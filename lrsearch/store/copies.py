"""Backups: the whole database to a file, and back."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from ..errors import Conflict, Unavailable
from . import postgres_dump, sqlite_copy
from .database import url_of

KINDS: dict[str, ModuleType] = {"sqlite": sqlite_copy, "postgresql": postgres_dump}
"""Who copies a database, by its kind."""


def back_up(address: str, file: Path, *, force: bool = False) -> None:
    """Copy the database at ``address`` to ``file``, as of one moment; the service may go on meanwhile.

    Raises:
        Conflict: the file exists, and ``force`` is not set.
        Unavailable: the database cannot be read, the file not be written, or pg_dump is missing.
    """
    url = url_of(address)
    if not file.absolute().parent.is_dir():
        raise Unavailable(f"there is no folder {file.absolute().parent} to write {file.name} to")
    if file.exists() and not force:
        raise Conflict(f"{file} exists already: name another file, or --force to replace it")
    KINDS[url.get_backend_name()].back_up(url, file)


def put_back(address: str, file: Path, *, force: bool = False) -> None:
    """Make the database at ``address`` what ``file`` holds, all of it or nothing; the service is stopped meanwhile.

    Raises:
        InvalidInput: the file is missing, damaged, or no backup of this kind of database.
        Conflict: there is a database already, and ``force`` is not set.
        Unavailable: the database is in use or away, or a program of Postgres' is missing.
    """
    url = url_of(address)
    KINDS[url.get_backend_name()].put_back(url, file, force=force)
