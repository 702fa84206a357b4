"""Real workers killed while they train and store states, and the stored states damaged: the same bits in the end."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

import lrsearch

from ..conftest import fresh_database
from . import trainer
from .conftest import until
from .invariants import same_trials
from .nursery import Child

STUDY = {
    "name": "s",
    "task": "least-squares",
    "updates": 60_000,
    "eval_every": 2_400,
    "space": {"family": "step", "initial_lr": {"low": 1e-3, "high": 0.3, "log": True}},
    "sampler": {"name": "tpe", "parallel": 2},
}


def truncate(path: Path, dice: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: dice.randrange(path.stat().st_size)])


def flip(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(bytes(content))


def remove(path: Path, dice: random.Random) -> None:
    path.unlink()


def damage(folder: Path, dice: random.Random) -> int:
    """Damage half of what is stored; now and then all of it is gone."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.stat().st_size)
    if dice.random() < 0.2:
        shutil.rmtree(folder)
        return len(files)
    hurt = dice.sample(files, (len(files) + 1) // 2)
    for path in hurt:
        dice.choice((truncate, flip, remove))(path, dice)
    return len(hurt)


MOMENTS = ("when it has stored what it held", "while it stores", "while it trains")


def end_one(moment: str, worker: Child, trained, dice: random.Random) -> int:
    """End a worker at such a moment, after some epochs; its exit code."""
    before = trained()
    until(lambda: trained() > before + 5 or worker.poll() is not None)
    if moment == MOMENTS[2]:
        time.sleep(dice.uniform(0, 0.2))
        return worker.end()
    if worker.poll() is None:
        worker.send(signal.SIGTERM)
    return worker.wait(60)


def disturbed(n: int, hosts, clients, watch, tmp_path: Path) -> None:
    """``n`` workers are ended at each kind of moment; what is stored is damaged each time."""
    folder, errors = tmp_path / "prefixes", tmp_path / "workers.log"
    folder.mkdir()
    host = hosts()
    there = clients(host.url)
    there.create({**STUDY, "budget": {"trials": 1000}})  # more than are begun before the last of them is ended
    dice = random.Random(n)
    ends: Counter[tuple[str, int]] = Counter()

    def trained() -> int:
        return int(there.study("s").progress.epochs.trained)

    def start(step: int | None = None) -> Child:
        return Child(trainer.main, host.url, folder, step, errors=errors)

    n_damaged = 0
    for number in range(n):
        for moment in MOMENTS:
            worker = start(1 + number % trainer.STEPS if moment == MOMENTS[1] else None)
            try:
                ends[moment, end_one(moment, worker, trained, dice)] += 1
            finally:
                worker.end()
            watch.check()
            if folder.exists():
                n_damaged += damage(folder, dice)
    killed = -signal.SIGKILL
    assert ends == {(MOMENTS[0], 0): n, (MOMENTS[1], killed): n, (MOMENTS[2], killed): n}
    assert n_damaged > 0
    n_begun = sum(trial.attempts > 0 for trial in there.list_trials("s", limit=1000).items)
    there.patch("s", {"budget": {"trials": n_begun}})
    worker = start()
    try:
        until(lambda: there.study("s").state == "completed")
        worker.send(signal.SIGTERM)
        assert worker.wait(60) == 0
    finally:
        worker.end()
    watch.check()
    assert "Traceback" not in errors.read_text()
    study = {**STUDY, "budget": {"trials": n_begun}}
    undisturbed = lrsearch.run(study, database=f"sqlite:///{tmp_path / 'undisturbed.db'}")
    same_trials(there.list_trials("s", limit=1000).items, undisturbed.trials())


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest):
    yield from fresh_database(request.param, request)


@pytest.mark.parametrize("n", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_workers_and_damaged_states_change_no_bit(hosts, clients, watch, tmp_path, n):
    disturbed(n, hosts, clients, watch, tmp_path)
