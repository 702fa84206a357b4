"""The database away, cut off, full or read-only: 503 until it is back, nobody's lease reaped, nothing lost."""

from __future__ import annotations

import os
import time

import httpx
import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from lrsearch.client import Client

from ..postgres import Missing, Server
from .conftest import LEASE_SECONDS, until

NEW = {"task": "external", "epochs": 2, "space": {"family": "cosine", "initial_lr": 0.1}}
NEW |= {"objective": {"metric": "loss", "direction": "minimize"}}


def refused(url: str) -> httpx.Response:
    """A write that is refused for now, with a problem that says so."""
    answer = httpx.post(f"{url}/v1/studies", json=NEW, timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json"), answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["detail"]
    return answer


def everything_held(watch, there: Client, askers, n: int) -> None:
    askers.finish()
    assert there.study("s").progress.trials == {"completed": n}
    assert {row.attempts for row in watch.check().values()} == {1}, "no lease was reaped because of it"
    watch.acknowledged(askers.log())


@pytest.fixture(scope="module")
def server():
    try:
        with Server() as started:
            yield started
    except Missing as reason:
        if os.environ.get("CI"):
            pytest.fail(f"{reason}; this must not be skipped here")
        pytest.skip(str(reason))


@pytest.fixture
def database_url(request):
    """A file, or a database on a server that may be stopped."""
    if "server" in request.fixturenames:
        yield from request.getfixturevalue("server").fresh()
    else:
        yield f"sqlite:///{request.getfixturevalue('tmp_path') / 'studies.db'}"


@pytest.mark.parametrize("seconds", [3 * LEASE_SECONDS, pytest.param(60, marks=pytest.mark.slow)])
def test_postgres_away(server, hosts, askers, clients, watch, external, seconds):
    host = hosts()
    there = clients(host.url)
    there.create(external(8))
    for _ in range(2):
        askers.start(host.url, seconds=0.1)
    until(lambda: len(askers.log()) > 4)
    server.stop()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        refused(host.url)
        time.sleep(0.2)
    server.start()
    everything_held(watch, there, askers, 8)


def restarts(n: int, server, hosts, askers, clients, watch, external, *, stop) -> None:
    host = hosts()
    there = clients(host.url)
    there.create(external(4 * n))
    for _ in range(2):
        askers.start(host.url, seconds=0.05)
    for _ in range(n):
        n_told = len(askers.log())
        until(lambda n_told=n_told: len(askers.log()) > n_told + 2)
        stop()
        watch.close()
        watch.check()
    everything_held(watch, there, askers, 4 * n)


def terminate(url: str) -> None:
    """Cut off every connection to a database."""
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    statement = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
    )
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"{statement} current_database()".encode())


@pytest.mark.parametrize("n", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_postgres_restarted(server, hosts, askers, clients, watch, external, n):
    restarts(n, server, hosts, askers, clients, watch, external, stop=server.restart)


@pytest.mark.parametrize("n", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_connections_terminated(server, hosts, askers, clients, watch, external, database_url, n):
    restarts(n, server, hosts, askers, clients, watch, external, stop=lambda: terminate(database_url))


def refuses_for_a_while(host, askers, clients, watch, external, begin, end, n: int = 1) -> None:
    there = clients(host.url)
    there.create(external(6 + 4 * n))
    for _ in range(2):
        askers.start(host.url, seconds=0.05)
    for _ in range(n):
        n_told = len(askers.log())
        until(lambda n_told=n_told: len(askers.log()) > n_told + 2)
        begin()
        refused(host.url)
        assert httpx.get(f"{host.url}/v1/studies/s").status_code == 200, "reads work"
        time.sleep(1.5 * LEASE_SECONDS)
        refused(host.url)
        watch.check()
        end()
    everything_held(watch, there, askers, 6 + 4 * n)


@pytest.mark.parametrize("n", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_full_disk(hosts, askers, clients, watch, external, n):
    host = hosts()
    process = psutil.Process(host.process.pid)
    refuses_for_a_while(
        host, askers, clients, watch, external,
        begin=lambda: process.rlimit(psutil.RLIMIT_FSIZE, (4096, psutil.RLIM_INFINITY)),
        end=lambda: process.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY)),
        n=n,
    )  # fmt: skip
    assert watch.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("n", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_read_only_database(server, hosts, askers, clients, watch, external, database_url, n):
    def read_only(how: str) -> None:
        url = make_url(database_url)
        server.execute(f'ALTER DATABASE "{url.database}" SET default_transaction_read_only = {how}')
        terminate(database_url)

    refuses_for_a_while(hosts(), askers, clients, watch, external, lambda: read_only("on"), lambda: read_only("off"), n)
