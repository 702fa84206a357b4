"""Databases that last one test."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Self

import psycopg
from sqlalchemy import URL, make_url

from lrsearch.store import Store

from .postgres import server


class Databases:
    """Makes them, empty or migrated: both by copying a template, since tests need many."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lrsearch-")))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fresh(self, kind: str, *, migrated: bool) -> Iterator[str]:
        """The URL of a new database, gone afterwards; raises Missing where Postgres is not installed."""
        yield from self._on_postgres(migrated) if kind == "postgres" else self._on_sqlite(migrated)

    def _on_sqlite(self, migrated: bool) -> Iterator[str]:
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            file = Path(folder) / "lrsearch.db"
            if migrated:
                shutil.copy(self._migrated_file, file)
            yield f"sqlite:///{file}"

    def _on_postgres(self, migrated: bool) -> Iterator[str]:
        name = f"lrsearch_test_{uuid.uuid4().hex}"
        self._create(name, self._migrated_name if migrated else "template0")
        try:
            yield self._url(name)
        finally:
            self._drop(name)

    @cached_property
    def _migrated_file(self) -> Path:
        file = self._folder / "migrated.db"
        _migrate(f"sqlite:///{file}")
        return file

    @cached_property
    def _migrated_name(self) -> str:
        name = f"lrsearch_test_{uuid.uuid4().hex}"
        self._create(name, "template0")
        self._stack.callback(self._drop, name)
        _migrate(self._url(name))
        return name

    @cached_property
    def _server(self) -> URL:
        given = os.environ.get("LRSEARCH_TEST_POSTGRES_URL")
        return make_url(given or self._stack.enter_context(server()))

    def _url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)

    def _create(self, name: str, template: str) -> None:
        with self._connect() as connection:
            # from version 15 on there is a choice, and the old way is several times faster without fsync
            how = "STRATEGY file_copy" if connection.info.server_version >= 150000 else ""
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {how}'.encode())

    def _drop(self, name: str) -> None:
        with self._connect() as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

    def _connect(self) -> psycopg.Connection:
        address = self._server.set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(address, autocommit=True)


def _migrate(url: str) -> None:
    store = Store(url)
    store.migrate()
    store.close()
