"""Postgres away, started anew, cut off: 503 until it is back, nobody's lease reaped, nothing lost."""

from __future__ import annotations

import time

import pytest

from .conftest import LEASE_SECONDS, cut_off, everything_held, refused, until


@pytest.fixture
def database_url(server):
    """A database on a server that may be stopped."""
    yield from server.fresh()


@pytest.mark.parametrize("seconds", [2 * LEASE_SECONDS, pytest.param(60, marks=pytest.mark.slow)])
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


@pytest.mark.parametrize("n", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_postgres_restarted(server, hosts, askers, clients, watch, external, n):
    restarts(n, server, hosts, askers, clients, watch, external, stop=server.restart)


@pytest.mark.parametrize("n", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_connections_terminated(server, hosts, askers, clients, watch, external, database_url, n):
    restarts(n, server, hosts, askers, clients, watch, external, stop=lambda: cut_off(database_url))
