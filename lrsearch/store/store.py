"""The store: one database, and transactions on it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import platformdirs
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, TimeoutError

from ..errors import Conflict, Unavailable
from . import schema
from .database import WAIT_SECONDS, Mode, connect
from .failures import BUSY
from .transaction import Transaction


class Store:
    """A database at a URL. Thread-safe, and several processes may use one database.

    A transaction that has returned is kept, even if the process is killed the moment after.

    Args:
        url: ``sqlite:///path`` (``sqlite://`` in memory) or ``postgresql://...``.

    Raises:
        InvalidInput: the URL is of no database that is known here.
    """

    def __init__(self, url: str) -> None:
        self._engines, self._alone = connect(url)
        self._turn = threading.Lock()
        self._since_trimmed: dict[str, int] = {}

    @staticmethod
    def default_url() -> str:
        """``LRSEARCH_DATABASE_URL``, or a SQLite file in the user's data folder."""
        folder = Path(platformdirs.user_data_dir("lrsearch", appauthor=False))
        return os.environ.get("LRSEARCH_DATABASE_URL") or f"sqlite:///{folder / 'lrsearch.db'}"

    def migrate(self) -> None:
        """Bring the tables to the newest version; several processes may do so at once.

        Raises:
            Conflict: a newer lrsearch has been here.
        """
        with self._transaction("migrate") as tx:
            schema.upgrade(tx.connection)

    def current(self) -> bool:
        """Whether the tables are at the newest version."""
        with self._transaction("read") as tx:
            return schema.is_newest(tx.connection)

    def ping(self) -> None:
        """Raises Unavailable while the database cannot be reached."""
        with self._transaction("read") as tx:
            tx.connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every connection."""
        self._engines["read"].dispose()

    def transaction(self, *, write: bool = True) -> AbstractContextManager[Transaction]:
        """A transaction: kept at its end, undone by an exception.

        Args:
            write: writers take turns; without it, a consistent view of the moment it begins, which waits for nobody.

        Raises:
            Unavailable: the database is away, busy, full or read-only.
        """
        return self._transaction("write" if write else "read")

    @contextmanager
    def _transaction(self, mode: Mode) -> Iterator[Transaction]:
        with self._in_turn() if mode != "read" or self._alone else nullcontext():
            try:
                with self._engines[mode].connect() as connection, connection.begin():
                    tx = Transaction(connection)
                    yield tx
                    tx.tell(self._since_trimmed)
            except TimeoutError as error:
                raise Unavailable(BUSY) from error
            except IntegrityError as error:
                raise Conflict(
                    "this does not fit what is stored: something it names exists already or is gone"
                ) from error

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        # threads queue here, where waking up is at once; processes queue in the database
        if not self._turn.acquire(timeout=WAIT_SECONDS):
            raise Unavailable(BUSY)
        try:
            yield
        finally:
            self._turn.release()
