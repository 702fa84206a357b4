"""Two services on one Postgres and a crowd of askers at both: no trial twice, none missing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lrsearch.client import Client
from lrsearch.study import LeaseRequest

from .conftest import first_report


@pytest.fixture
def database_url(postgres_url):
    """SQLite is for one service."""
    return postgres_url


def crowd(n_askers: int, n_trials: int, hosts, watch, external) -> None:
    """Askers in threads, half at each of two services, on one grid."""
    both = [hosts(lease_seconds=60), hosts(lease_seconds=60)]  # of so many nobody is soon heard again
    with Client(both[0].url, patience=30) as there:
        there.create(external(n_trials))
        got: list[tuple[int, int]] = []
        guard = threading.Lock()

        def ask(number: int) -> None:
            with Client(both[number % 2].url, patience=30) as client:
                while True:
                    lease = client.lease(LeaseRequest(worker=f"w{number}", hold=1, study="s", tasks=()))
                    if not lease.assignments:
                        return
                    with guard:
                        got.extend((its.trial, its.attempt) for its in lease.assignments)
                    first_report(client, lease)

        with ThreadPoolExecutor(n_askers) as pool:
            list(pool.map(ask, range(n_askers)))
        assert sorted(got) == [(number, 1) for number in range(n_trials)]
        rows = watch.check()
        assert len({row.params for row in rows.values()}) == n_trials, "no cell of the grid twice"
        assert there.study("s").state == "completed"


def test_a_crowd_at_two_services_shares_one_study(hosts, watch, external):
    crowd(10, 40, hosts, watch, external)


@pytest.mark.slow
def test_a_crowd_of_fifty_at_two_services_shares_one_study(hosts, watch, external):
    crowd(50, 500, hosts, watch, external)
