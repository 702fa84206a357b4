"""A worker without work leaves a call with the service, which answers it when there is some."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

STUDY: dict[str, Any] = {
    "name": "s",
    "task": "least-squares",
    "epochs": 2,
    "space": {"family": "constant", "initial_lr": [0.1, 0.2], "warmup": 0},
    "sampler": "grid",
}
LONG = 30
"""Seconds that no test waits for: an answer that comes earlier was called for."""


@pytest.fixture
def waiting(http, service):
    """A report that waits, on a lease that holds nothing; it listens by the time it is handed out."""
    with ThreadPoolExecutor() as pool:

        def begun(wait_seconds: float = LONG, worker: str = "w", **more: Any) -> tuple[str, Future[Any]]:
            listens = threading.Event()
            look = service.report

            def looked(*given: Any) -> Any:
                answer = look(*given)
                listens.set()
                return answer

            service.report = looked
            lease = http.post("/v1/leases", json={"worker": worker, "hold": 8}).json()["lease"]
            body = {"hold": 8, "wait_seconds": wait_seconds} | more
            call = pool.submit(http.post, f"/v1/leases/{lease}/reports", json=body)
            assert listens.wait(LONG)
            return lease, call

        yield begun


def test_a_new_study_answers_whoever_waits(http, waiting):
    _, call = waiting()
    assert http.post("/v1/studies", json=STUDY).status_code == 201
    assert [item["trial"] for item in call.result(LONG / 2).json()["assignments"]] == [0, 1]


def test_what_another_worker_hands_back_answers_whoever_waits(http, waiting):
    http.post("/v1/studies", json=STUDY)
    other = http.post("/v1/leases", json={"worker": "other", "hold": 8}).json()
    assert len(other["assignments"]) == 2
    _, call = waiting()
    http.delete(f"/v1/leases/{other['lease']}")
    answer = call.result(LONG / 2).json()
    assert [(item["trial"], item["attempt"]) for item in answer["assignments"]] == [(0, 2), (1, 2)]


def test_a_lease_that_ends_answers_its_own_waiting_call(http, waiting):
    http.post("/v1/studies", json=STUDY | {"name": "kept"})
    http.post("/v1/leases", json={"worker": "other", "hold": 8})
    lease, call = waiting()
    http.delete(f"/v1/leases/{lease}")
    assert call.result(LONG / 2).status_code == 409


def test_the_answer_comes_when_the_time_is_over(waiting):
    _, call = waiting(0.05)
    assert call.result(LONG / 2).json()["assignments"] == []


@pytest.mark.parametrize("seconds", [-1, 31, "5", None])
def test_how_long_to_wait_has_bounds(http, seconds):
    lease = http.post("/v1/leases", json={"worker": "w", "hold": 0}).json()["lease"]
    answer = http.post(f"/v1/leases/{lease}/reports", json={"wait_seconds": seconds})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "wait_seconds"
