"""Databases of which thousands are needed, one after the other."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lrsearch.store import Store

from .invariants import Watch


@contextmanager
def file_databases() -> Iterator[Callable[[], str]]:
    """New SQLite databases, by copying one that is migrated."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="lrsearch-", dir=memory if memory.is_dir() else None) as folder:
        empty, used = Path(folder) / "empty.db", Path(folder) / "used.db"
        store = Store(f"sqlite:///{empty}")
        store.migrate()
        store.close()

        def fresh() -> str:
            for rest in Path(folder).glob("used.db*"):
                rest.unlink()
            shutil.copy(empty, used)
            return f"sqlite:///{used}"

        yield fresh


@contextmanager
def one_database(url: str) -> Iterator[Callable[[], str]]:
    """The same Postgres database, emptied each time."""

    def fresh() -> str:
        watch = Watch(url)
        names = [row[0] for row in watch.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        with watch._engine.begin() as connection:
            kept = ", ".join(name for name in names if name != "alembic_version")
            connection.exec_driver_sql(f"TRUNCATE {kept} RESTART IDENTITY CASCADE")
        watch.close()
        return url

    store = Store(url)
    store.migrate()
    store.close()
    yield fresh
