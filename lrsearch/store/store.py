"""The store: one database, and transactions on it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import platformdirs
from sqlalchemy.exc import IntegrityError, TimeoutError

from ..errors import Conflict, Unavailable
from . import schema, sqlite_copy
from .database import WAIT_SECONDS, Mode, connect
from .failures import BUSY
from .schema import Versions
from .sqlite_copy import file_of, has_data
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
        self._known_current = False
        self._turn = threading.Lock()
        self._since_trimmed: dict[str, int] = {}

    @staticmethod
    def default_url() -> str:
        """``LRSEARCH_DATABASE_URL``, or a SQLite file in the user's data folder."""
        folder = Path(platformdirs.user_data_dir("lrsearch", appauthor=False))
        return os.environ.get("LRSEARCH_DATABASE_URL") or f"sqlite:///{folder / 'lrsearch.db'}"

    @property
    def embedded(self) -> bool:
        """Whether it is this machine's own file, which nobody else looks after."""
        return self._engines["read"].dialect.name == "sqlite"

    def prepare(self) -> None:
        """Make it ready for work: what is embedded is migrated; what somebody runs for a team, only they migrate.

        Raises:
            Conflict: a newer lrsearch has been here.
            Unavailable: Postgres' tables are not at the newest version, or it is away.
        """
        if self.embedded:
            self.migrate()
        elif (lag := self.versions().lag()) is not None:
            raise Unavailable(lag)

    def migrate(self) -> Path | None:
        """Bring the tables to the newest version; several processes may do so at once.

        Returns:
            Where a SQLite file with anything in it was copied to beforehand; None where it was not.

        Raises:
            Conflict: a newer lrsearch has been here.
        """
        kept = None
        with self._transaction("migrate") as tx:
            found = schema.versions(tx.connection)
            if found.known and not found.newest and self.embedded and not self._alone and has_data(tx.connection):
                url = self._engines["read"].url
                kept = Path(f"{file_of(url)}.before-v{found.wanted}.bak")
                sqlite_copy.back_up(url, kept)  # nobody else writes meanwhile: this transaction has the turn
            schema.upgrade(tx.connection)
        return kept

    def versions(self) -> Versions:
        """The version that the tables are at, and the one wanted."""
        with self._transaction("read") as tx:
            return schema.versions(tx.connection)

    def close(self) -> None:
        """Close every connection."""
        self._engines["read"].dispose()

    def transaction(self, *, write: bool = True) -> AbstractContextManager[Transaction]:
        """A transaction: kept at its end, undone by an exception.

        Args:
            write: writers take turns; without it, a consistent view of the moment it begins, which waits for nobody.

        Raises:
            Unavailable: the database is away, busy, full or read-only, or its tables are of another version.
        """
        return self._current("write" if write else "read")

    @contextmanager
    def _current(self, mode: Mode) -> Iterator[Transaction]:
        with self._transaction(mode) as tx:
            if not self._known_current:
                if (lag := schema.versions(tx.connection).lag()) is not None:
                    raise Unavailable(lag)
                self._known_current = True
            yield tx

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
