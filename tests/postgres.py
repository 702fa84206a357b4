"""A Postgres server for tests: of this process alone, on a socket only, gone at the end without a trace."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Self

import psycopg

SECONDS = 60
"""How long the server may take to start or to stop."""
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "shared_buffers": "16MB",
    "autovacuum_naptime": "5s",
}


class Missing(Exception):
    """Postgres' programs are not installed here."""


def programs() -> Path:
    """The folder of the newest installed ``initdb`` and ``postgres``."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if folders:
        return max(folders, key=lambda folder: [int(part) for part in folder.parent.name.split(".")])
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise Missing("Postgres is not installed: no initdb in /usr/lib/postgresql/*/bin or PATH")


def user() -> dict[str, str | int | list[int]]:
    """Whom the server runs as: Postgres refuses root."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def end_with_parent() -> None:
    """Linux: if this process is killed, the server is told to stop."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)


class Server:
    """A server, from the beginning of a ``with`` block to its end; it may be stopped and started in between.

    Args:
        settings: instead of ``SETTINGS``.

    Attributes:
        url: of its first database.
    """

    def __init__(self, settings: Mapping[str, str] = MappingProxyType(SETTINGS)) -> None:
        self._settings = settings

    def __enter__(self) -> Self:
        binaries, self._owner = programs(), user()
        # a socket's path is short: at most 107 characters
        self._folder = Path(tempfile.mkdtemp(prefix="lrsearch-pg-", dir="/tmp"))
        self.url = f"postgresql+psycopg://lrsearch@/postgres?host={self._folder}"
        self._address = f"host={self._folder} user=lrsearch dbname=postgres"
        data = self._folder / "data"
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        self._command = [binaries / "postgres", "-D", data, "-k", self._folder, *settings]
        try:
            if self._owner:
                os.chown(self._folder, int(str(self._owner["user"])), int(str(self._owner["group"])))
            make = [binaries / "initdb", "-D", data, "-U", "lrsearch", "-A", "trust", "-E", "UTF8"]
            made = subprocess.run(
                [*make, "--locale=C", "--no-sync"],
                cwd=self._folder, capture_output=True, text=True, check=False, **self._owner,
            )  # fmt: skip
            assert made.returncode == 0, made.stdout + made.stderr
            self.start()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start it; returns once it answers."""
        log = self._folder / "log"
        with log.open("a") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # it takes no lock
                **self._owner,
            )
        _wait_for(self._process, self._address, log)

    def stop(self) -> None:
        """A fast shutdown: clients are cut off."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(SECONDS)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def execute(self, statement: str) -> None:
        """Run a statement in its first database, in no transaction."""
        with psycopg.connect(self._address, autocommit=True) as connection:
            connection.execute(statement.encode())

    def fresh(self, folder: Path | None = None) -> Iterator[str]:
        """The URL of a new empty database, gone afterwards; what it holds is in ``folder``, which is the server's."""
        name = f"lrsearch_test_{uuid.uuid4().hex}"
        place = "pg_default" if folder is None else name
        if folder is not None:
            self.execute(f"CREATE TABLESPACE \"{place}\" LOCATION '{folder}'")
        self.execute(f'CREATE DATABASE "{name}" TABLESPACE "{place}"')
        try:
            yield self.url.replace("/postgres?", f"/{name}?")
        finally:
            self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            if folder is not None:
                self.execute(f'DROP TABLESPACE "{place}"')


@contextmanager
def server(settings: Mapping[str, str] = MappingProxyType(SETTINGS)) -> Iterator[str]:
    """Start a server; yields the URL of its first database."""
    with Server(settings) as started:
        yield started.url


def _wait_for(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)
        else:
            return
