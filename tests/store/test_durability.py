"""What a transaction has stored is there whatever happens to the process that stored it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from lrsearch.store import Store

WRITER = Path(__file__).with_name("writer.py")


def write_until_killed(url: str, seconds: float) -> list[int]:
    """Start a writer and kill it ``seconds`` after its first trial; the numbers that it said were stored."""
    with subprocess.Popen([sys.executable, WRITER, url, "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        said = first + process.stdout.read()
    assert process.returncode == -9
    return [int(line) for line in said.splitlines(keepends=True) if line.endswith("\n")]


def check(store: Store, said: list[int]) -> None:
    """Everything that was said to be stored is there, nothing is there by halves, no number is missing."""
    with store.transaction(write=False) as tx:
        numbers = [outcome.number for outcome in tx.trials.outcomes("s")]
        assert numbers == list(range(len(numbers)))
        assert set(said) <= set(numbers)
        assert all(len(tx.points.of("s", number)) == 10 for number in numbers)
        if tx.connection.dialect.name == "sqlite":
            assert tx.connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"


def kill_and_check(store: Store, url: str, moments: int) -> None:
    said: list[int] = []
    for moment in range(moments):
        said += write_until_killed(url, random.Random(moment).uniform(0, 0.3))
        check(store, said)
    assert len(said) == len(set(said)) >= moments
    with store.transaction() as tx:
        tx.studies.change("s", state="running")


def test_a_killed_writer_loses_nothing(store, database_url, study):
    with store.transaction() as tx:
        tx.studies.add(study("s"))
    kill_and_check(store, database_url, moments=1)


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_at_any_moment(store, database_url, study):
    with store.transaction() as tx:
        tx.studies.add(study("s"))
    kill_and_check(store, database_url, moments=20)


def test_every_commit_reaches_the_disk(tmp_path, study):
    """A file database waits for the disk, so that a power cut loses nothing either."""
    store = Store(f"sqlite:///{tmp_path}/lrsearch.db")
    store.migrate()
    with store.transaction() as tx:
        settings = {
            name: tx.connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("synchronous", "journal_mode", "foreign_keys")
        }
    assert settings == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}
    store.close()
