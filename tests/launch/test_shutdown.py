"""SIGTERM under load: nobody's answer is cut off, and nobody is left waiting."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from lrsearch.launch import Listener, listener
from lrsearch.service import Service
from lrsearch.store import Store

Make = Callable[..., Any]


def test_what_is_in_flight_is_answered(serving: Make, client: Make, slow_study: dict[str, Any], until: Make) -> None:
    one = serving()
    there = client(one.url)
    there.create(slow_study)
    over = threading.Event()
    answers: Counter[str] = Counter()
    heard: list[str] = []

    def ask() -> None:
        while not over.is_set():
            with httpx.Client(base_url=one.url, timeout=20) as http:  # a connection each: no keep-alive to race with
                try:
                    answers[str(http.get("/v1/studies/slow").status_code)] += 1
                except httpx.ConnectError:
                    return  # nobody listens any more
                except httpx.TransportError as error:
                    answers[repr(error)] += 1

    def wait() -> None:
        with httpx.Client(base_url=one.url, timeout=60) as http:
            lease = http.post("/v1/leases", json={"worker": "idle", "hold": 1, "tasks": []}).json()["lease"]
            answers["waiting"] += 1
            answer = http.post(f"/v1/leases/{lease}/reports", json={"hold": 1, "wait_seconds": 30})
            answers[f"waited {answer.status_code}"] += 1

    def hear() -> None:
        with httpx.stream("GET", f"{one.url}/v1/studies/slow/events", timeout=60) as answer:
            for line in answer.iter_lines():
                heard.append(line)
        heard.append("over")

    threads = [threading.Thread(target=verb) for verb in (ask, ask, ask, wait, hear)]
    for thread in threads:
        thread.start()
    until(lambda: answers["200"] > 20 and answers["waiting"] and heard)
    time.sleep(0.2)
    assert one.end(signal.SIGTERM) == 0
    over.set()
    for thread in threads:
        thread.join(30)
    assert heard[-1] == "over"
    assert answers["waited 200"] == 1
    cut_off = {what: n for what, n in answers.items() if what not in ("200", "waiting", "waited 200")}
    # a connection that the system took in and nobody accepted any more was never a request
    assert all("ConnectError" in what or "ReadError" in what or "disconnected without" in what for what in cut_off), (
        cut_off
    )
    assert sum(cut_off.values()) <= 6


def test_what_there_is_no_time_for_is_told_so(
    tmp_path: Path,
    slow_study: dict[str, Any],
    until: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """More writers than threads, and a database that somebody keeps: in words, with no traceback."""
    monkeypatch.setattr(listener, "FINISH_SECONDS", 0.3)
    store = Store(f"sqlite:///{tmp_path / 'studies.db'}")
    store.migrate()
    here = Listener(Service(store), port=0)
    here.start()
    with httpx.Client(base_url=here.url, timeout=30) as http, ThreadPoolExecutor(24) as pool:
        assert http.post("/v1/studies", json=slow_study).status_code == 201
        with closing(sqlite3.connect(tmp_path / "studies.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            asked = [pool.submit(httpx.post, f"{here.url}/v1/studies/slow/pause", timeout=30) for _ in range(24)]
            until(lambda: 'in_flight{lane="rest"} 25.0' in http.get("/metrics").text, 20)
            here.stop()
        answers = [call.result() for call in asked]
    store.close()
    assert {answer.status_code for answer in answers} == {503}
    assert "call again" in answers[0].json()["detail"]
    assert {answer.headers["retry-after"] for answer in answers} == {"5"}
    assert not any(record.exc_info for record in caplog.records)
    assert "Traceback" not in caplog.text
