"""The disk full, or the database read-only: writes are refused in words, reads work, and it heals by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from ..postgres import user
from .conftest import LEASE_SECONDS, Host, address, cut_off, everything_held, refused, until
from .small_disk import SmallDisk, Unmountable

FITS = 40
"""How many studies may still fit into pages that have room, once the disk has none."""


@pytest.fixture
def small_disk() -> Iterator[SmallDisk]:
    try:
        with SmallDisk() as disk:
            yield disk
    except Unmountable as reason:
        pytest.skip(str(reason))


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A file or a database on Postgres, on a small disk where the test asks for one."""
    disk = request.getfixturevalue("small_disk").folder if "small_disk" in request.fixturenames else None
    if request.param == "postgres":
        if disk is not None and (owner := user()):
            os.chown(disk, int(str(owner["user"])), int(str(owner["group"])))
        yield from request.getfixturevalue("server").fresh(disk)
    else:
        yield f"sqlite:///{disk or tmp_path}/studies.db"


def refuses_for_a_while(
    host: Host, askers, clients, watch, external, broken: Callable[[], AbstractContextManager[None]],
    *, reason: str, n: int, fits: int = 0,
) -> None:  # fmt: skip
    """``n`` times, while askers are at work, what is within ``broken`` refuses writes for longer than a lease."""
    there = clients(host.url)
    there.create(external(6 + 4 * n))
    for _ in range(2):
        askers.start(host.url, seconds=0.05 if n == 1 else 0.2)  # small reports may still fit onto a full disk
    for _ in range(n):
        n_told = len(askers.log())
        until(lambda n_told=n_told: len(askers.log()) > n_told + 2)
        with broken():
            assert reason in refused(host.url, fits=fits).json()["detail"]
            answer = httpx.get(f"{host.url}/v1/studies/s")
            assert answer.status_code == 200, f"reads work: {answer.text}"
            time.sleep(1.2 * LEASE_SECONDS)
            refused(host.url, fits=fits)
            watch.check()
    everything_held(watch, there, askers, 6 + 4 * n)


def settle(url: str) -> None:
    """Leave Postgres nothing to write before a new connection may read, as in a database whose tables are not new."""
    for statement in ("VACUUM ANALYZE", "SELECT 1"):
        with psycopg.connect(address(url), autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.mark.parametrize("n", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_full_disk(small_disk, hosts, askers, clients, watch, external, database_url, n):
    @contextmanager
    def full() -> Iterator[None]:
        if database_url.startswith("postgres"):
            settle(database_url)
        small_disk.fill()
        try:
            yield
        finally:
            small_disk.empty()

    refuses_for_a_while(hosts(), askers, clients, watch, external, full, reason="is full", n=n, fits=FITS)
    if database_url.startswith("sqlite"):
        assert watch.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.slow
@pytest.mark.parametrize("n", [20])
def test_a_file_that_may_not_grow(hosts, askers, clients, watch, external, database_url, n):
    """A quota: the system refuses with another error than that of a full disk."""
    host = hosts()
    process = psutil.Process(host.process.pid)

    @contextmanager
    def limited() -> Iterator[None]:
        process.rlimit(psutil.RLIMIT_FSIZE, (4096, psutil.RLIM_INFINITY))
        try:
            yield
        finally:
            process.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))

    refuses_for_a_while(host, askers, clients, watch, external, limited, reason="quota", n=n)
    assert watch.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("n", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_read_only_database(request, hosts, askers, clients, watch, external, database_url, n):
    host, url = hosts(), make_url(database_url)
    if url.get_backend_name() == "sqlite":
        files = Path(str(url.database))

        def allow(writing: bool) -> None:
            for file in files.parent.glob(f"{files.name}*"):
                file.chmod(0o644 if writing else 0o444)
            files.parent.chmod(0o755 if writing else 0o555)
            if not writing:
                host.restart()  # what is open already may be written to
    else:
        server = request.getfixturevalue("server")

        def allow(writing: bool) -> None:
            how = "off" if writing else "on"
            server.execute(f'ALTER DATABASE "{url.database}" SET default_transaction_read_only = {how}')
            cut_off(database_url)

    @contextmanager
    def read_only() -> Iterator[None]:
        allow(writing=False)
        try:
            yield
        finally:
            allow(writing=True)

    refuses_for_a_while(host, askers, clients, watch, external, read_only, reason="read-only", n=n)
