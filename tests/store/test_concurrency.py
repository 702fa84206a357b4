"""Many writers on one study: no number twice, none missing."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lrsearch.errors import Conflict

WRITER = Path(__file__).with_name("writer.py")


def test_threads_and_processes_number_trials(store, database_url, study, trial):
    with store.transaction() as tx:
        tx.studies.add(study("s"))
    command = [sys.executable, WRITER, database_url, "40"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    given = [int(process.stdout.readline()) for process in processes]

    def add(_: int) -> list[int]:
        numbers = []
        for _ in range(10):
            with store.transaction() as tx:
                tx.studies.get("s", lock=True)
                numbers.append(tx.trials.next_number("s"))
                tx.trials.add("s", [trial(numbers[-1])])
        return numbers

    with ThreadPoolExecutor(4) as pool:
        given += [number for numbers in pool.map(add, range(4)) for number in numbers]
    for process in processes:
        with process:
            given += map(int, process.stdout.read().split())
        assert process.returncode == 0
    assert sorted(given) == list(range(120))
    with store.transaction(write=False) as tx:
        assert [outcome.number for outcome in tx.trials.outcomes("s")] == list(range(120))


def test_one_of_many_gets_a_name(store, study):
    def add(owner: int) -> bool:
        try:
            with store.transaction() as tx:
                tx.studies.add(study("s", owner=str(owner)))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(add, range(8)))
    assert sum(got) == 1
    with store.transaction(write=False) as tx:
        assert tx.studies.get("s").owner == str(got.index(True))


def test_one_of_many_ends_a_lease(store, study, trial, lease):
    """Two that take back the same lease's trials do not both get them."""
    with store.transaction() as tx:
        tx.studies.add(study("s"))
        tx.trials.add("s", [trial(n, lease="a", state="running") for n in range(5)])
        tx.leases.add(lease("a"))

    def reap(_: int) -> int:
        with store.transaction() as tx:
            return sum(len(tx.trials.let_go(row.lease)) for row in tx.leases.of_worker("w"))

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(reap, range(6))) == [0, 0, 0, 0, 0, 5]


@pytest.mark.slow
def test_fifty_askers(store, study, trial):
    with store.transaction() as tx:
        tx.studies.add(study("s"))

    def add(_: int) -> int:
        with store.transaction() as tx:
            tx.studies.get("s", lock=True)
            number = tx.trials.next_number("s")
            tx.trials.add("s", [trial(number)])
        with store.transaction(write=False) as tx:
            return tx.trials.get("s", number).number

    with ThreadPoolExecutor(50) as pool:
        assert sorted(pool.map(add, range(1000))) == list(range(1000))
