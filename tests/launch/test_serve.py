"""The service with its workers as processes: started, killed, started again, ended without a trace."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import lrsearch
from lrsearch.service import Service
from lrsearch.spec_file import read_study
from lrsearch.store import Store

from ..conftest import fresh_database

Make = Callable[..., Any]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly(serving: Make, until: Make, number: int) -> None:
    one = serving(workers=2)
    family = until(lambda: one.workers() if len(one.workers()) == 2 else None)
    assert {os.getpgid(worker.pid) for worker in family} == {worker.pid for worker in family}
    assert httpx.get(f"{one.url}/readyz").json() == {"status": "ok"}
    assert one.end(number) == 0
    assert not any(worker.is_running() for worker in family)


def test_workers_die_with_a_service_that_is_killed(serving: Make, client: Make, until: Make) -> None:
    one = serving(workers=1)
    until(lambda: client(one.url).workers())
    family = one.workers()
    one.end(signal.SIGKILL)
    until(lambda: not any(worker.is_running() for worker in family), 20)


PRUNED: dict[str, dict[str, Any]] = {
    "none": {"pruner": "none"},
    "asha": {"pruner": "asha"},
    "median": {  # only trials that see others can be stopped, and of eight none does where all may run at once
        "pruner": {"name": "median", "startup_trials": 1, "startup_epochs": 2},
        "sampler": {"name": "random", "seed": 1, "parallel": 2},
    },
}


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from fresh_database(request.param, request)


@pytest.mark.slow  # the fast form, of one worker with nothing between: tests/faults/test_states_damaged.py
@pytest.mark.parametrize(
    ("pruner", "number"),
    [("asha", signal.SIGKILL), ("asha", signal.SIGTERM), ("none", signal.SIGTERM), ("median", signal.SIGKILL)],
)
def test_workers_and_services_that_end_change_nothing(
    serving: Make,
    client: Make,
    until: Make,
    slow_study: dict[str, Any],
    store: Store,
    database_url: str,
    tmp_path: Path,
    pruner: str,
    number: int,
) -> None:
    """The worker is killed, then the service is ended: the study ends as one that nothing happened to."""
    disturbed = {**slow_study, "budget": {"trials": 8}, "sampler": {"name": "random", "seed": 1}, **PRUNED[pruner]}
    one = serving(workers=1, LRSEARCH_DATABASE_URL=database_url)
    there = client(one.url)
    there.create(disturbed)
    until(lambda: there.study("slow").progress.epochs.trained > 20)
    for worker in one.workers():
        worker.kill()
    until(lambda: any(trial.attempts == 2 for trial in there.list_trials("slow").items))  # a new worker took over
    trained = there.study("slow").progress.epochs.trained
    until(lambda: there.study("slow").progress.epochs.trained > trained + 20)
    assert one.end(number) == (0 if number == signal.SIGTERM else -number)
    if number == signal.SIGTERM:
        assert Service(store).study("slow").progress.trials.get("running", 0) == 0, "what was at work is handed back"
    two = serving(workers=1, port=one.port, LRSEARCH_DATABASE_URL=database_url)
    until(lambda: there.study("slow").state == "completed")
    undisturbed = lrsearch.run(disturbed, database=f"sqlite:///{tmp_path / 'undisturbed.db'}")
    found, expected = there.list_trials("slow").items, undisturbed.trials()
    assert [(it.number, it.state, it.value) for it in found] == [(it.number, it.state, it.value) for it in expected]
    assert "completed" in {trial.state for trial in found}
    assert ("pruned" in {trial.state for trial in found}) == (pruner != "none")
    completed = [trial.value for trial in found if trial.state == "completed" and trial.value is not None]
    assert there.best("slow").value == min(completed)
    for trial in found:
        updates = [point.update for point in there.curve("slow", trial.number)]
        assert updates == [1600 * n for n in range(1, len(updates) + 1)]
        assert len(updates) == 50 or trial.state != "completed"
    assert two.end() == 0


def test_a_worker_rides_out_a_restart(
    serving: Make, client: Make, until: Make, slow_study: dict[str, Any], tmp_path: Path
) -> None:
    one = serving()
    there = client(one.url)
    there.create({**slow_study, "budget": {"trials": 2}})
    command = [sys.executable, "-P", "-m", "lrsearch.cli", "worker", "--server", one.url, "--name", "far"]
    own = {**os.environ, "LRSEARCH_PREFIXES": str(tmp_path)}
    far = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=own)
    try:
        until(lambda: there.study("slow").progress.epochs.trained > 20)
        one.end(signal.SIGKILL)
        serving(port=one.port)
        until(lambda: there.study("slow").state == "completed")
        assert [trial.worker for trial in there.list_trials("slow").items] == ["far"] * 2
        there.create({**slow_study, "name": "more"})
        until(lambda: there.study("more").progress.epochs.trained > 5)
        far.send_signal(signal.SIGTERM)
        assert far.wait(15) == 0
        assert there.study("more").progress.trials["queued"] == 2  # handed back at once
    finally:
        far.kill()
        far.wait()


def test_the_token_is_for_everybody(
    serving: Make, client: Make, until: Make, slow_study: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "first").write_text("f1rst\n")
    one = serving(workers=1, LRSEARCH_TOKEN="s3cret", LRSEARCH_ADMIN_TOKEN_FILE=str(tmp_path / "first"))
    assert httpx.get(f"{one.url}/v1/studies").status_code == 401
    made = client(one.url, "f1rst").create_token({"name": "ann", "scopes": ["write"]})
    there = client(one.url, made.token)
    there.create({**slow_study, "budget": {"trials": 1}, "updates": 1_600})
    until(lambda: there.study("slow").state == "completed")
    lines = [" ".join(process.cmdline()) for process in [psutil.Process(one.process.pid), *one.workers()]]
    assert there.study("slow").owner == "ann"
    assert client(one.url, "s3cret").audit(name="ann").items[0].resource == "studies/slow"
    secrets = ("s3cret", "f1rst", made.token)
    assert not any(secret in line for secret in secrets for line in lines)
    assert not any(secret in (tmp_path / "serve.err").read_text() for secret in secrets)
    assert one.end() == 0


@pytest.mark.slow
def test_digits_step_survives_random_kills(
    serving: Make, client: Make, until: Make, store: Store, database_url: str
) -> None:
    dice, lease = random.Random(0), ("--lease-seconds", "10")  # nobody is to be lost but who is killed
    one = serving(*lease, workers=2, LRSEARCH_DATABASE_URL=database_url)
    there = client(one.url)
    there.create(read_study("digits-step"))
    n_killed = 0
    for _ in range(5):
        before = there.study("digits-step").progress.epochs.trained

        def has_come_on(before: int = before) -> bool:
            study = there.study("digits-step")
            return study.state == "completed" or study.progress.epochs.trained > before + 10

        until(has_come_on)
        if there.study("digits-step").state == "completed":
            break
        n_killed += 1
        time.sleep(dice.random())
        dice.choice(until(one.workers)).kill()
        time.sleep(3 * dice.random())
        one.end(signal.SIGKILL)
        one = serving(*lease, workers=2, port=one.port, LRSEARCH_DATABASE_URL=database_url)
    assert n_killed >= 2
    until(lambda: there.study("digits-step").state == "completed", 200)
    trials = there.list_trials("digits-step", limit=1000).items
    assert [trial.number for trial in trials] == list(range(32))
    assert {trial.state for trial in trials} <= {"completed", "diverged"}
    best = min((trial.value, trial.number) for trial in trials if trial.value is not None)
    assert (there.best("digits-step").value, there.best("digits-step").trial) == best
    for trial in trials:
        curve = there.curve("digits-step", trial.number)
        assert [point.epoch for point in curve] == list(range(1, len(curve) + 1))
