"""Too much at once: what is refused says when to come back, and what was measured still comes home."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lrsearch.api import lanes
from lrsearch.client import Client
from lrsearch.errors import Unavailable
from lrsearch.launch import Listener
from lrsearch.service import Service
from lrsearch.study import LeaseRequest, ReportRequest


def read(url: str) -> None:
    with Client(url, patience=0) as client:
        client.study("loop")


@pytest.fixture
def busy(service: Service, external: dict[str, Any]) -> Iterator[Callable[[int], threading.Event]]:
    """Reads that do not end until they are let go; the call returns once so many have begun."""
    gate, begun = threading.Event(), threading.Semaphore(0)
    look = service.study

    def slow(name: str) -> Any:
        begun.release()
        assert gate.wait(30)
        return look(name)

    service.study = slow  # type: ignore[method-assign]
    with Listener(service, port=0) as listener, ThreadPoolExecutor(64) as pool, Client(listener.url) as client:
        client.create(external)

        def occupy(number: int, threads: int) -> str:
            for _ in range(number):
                pool.submit(read, listener.url)
            for _ in range(threads):
                assert begun.acquire(timeout=30)
            return listener.url

        yield occupy
        gate.set()


def test_reads_do_not_hold_up_reports(busy: Callable[[int, int], str]) -> None:
    url = busy(lanes.THREADS["rest"] + 8, lanes.THREADS["rest"])  # every thread for reads is taken, and more wait
    with Client(url, patience=0, timeout=10) as worker:
        lease = worker.lease(LeaseRequest(worker="w", hold=1, study="loop"))
        assert [given.trial for given in lease.assignments] == [0]
        assert worker.report(lease.lease, ReportRequest(hold=1)).rejected == ()
        worker.ready()
        worker.release(lease.lease)


def test_beyond_its_bound_a_lane_answers_when_to_come_back(
    busy: Callable[[int, int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    monkeypatch.setattr(lanes, "MOST", {"work": 1, "rest": 4})
    url = busy(4, 4)
    refused = httpx.get(f"{url}/v1/studies")
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert "4 requests in flight" in refused.json()["detail"]
    assert httpx.get(f"{url}/readyz").status_code == 200
    with Client(url, patience=0) as worker:
        worker.lease(LeaseRequest(worker="w", hold=1))  # the other lane is free
        with pytest.raises(Unavailable, match="try again"):
            worker.study("loop")


def test_no_more_threads_than_connections(service: Service) -> None:
    """Else a thread could wait for a connection that others hold who wait for threads."""
    from lrsearch.store.database import connect

    for url in ("sqlite:///x.db", "postgresql://nowhere/x"):
        pool: Any = connect(url).engines["read"].pool
        keyring, reaper = 2, 1
        assert sum(lanes.THREADS.values()) + keyring + reaper <= pool.size() + pool._max_overflow
