"""Real workers killed while they train and store states, and the stored states damaged: the same bits in the end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lrsearch

from .conftest import until
from .invariants import same_trials

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


@contextmanager
def training(command: list[str], own: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A worker, killed at the end of the block."""
    with subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL) as worker:
        try:
            yield worker
        finally:
            worker.kill()


def disturbed(n: int, hosts, clients, watch, tmp_path: Path) -> None:
    """``n`` workers are ended or killed, some while they store; what they stored is damaged each time."""
    folder = tmp_path / "prefixes"
    folder.mkdir()
    study = {**STUDY, "budget": {"trials": 4 + n}}
    host = hosts()
    there = clients(host.url)
    there.create(study)
    dice = random.Random(n)
    own = {**os.environ, "LRSEARCH_PREFIXES": str(folder)}
    command = [sys.executable, "-P", "-m", "lrsearch.cli", "worker", "--server", host.url, "--name", "w", "--hold", "2"]

    def trained() -> int:
        return int(there.study("s").progress.epochs.trained)

    n_damaged, kills = 0, []
    for kill in range(n):
        with training(command, own) as worker:
            before, stored = trained(), set(folder.iterdir()) if folder.exists() else set()
            until(lambda before=before: trained() > before + 5)
            if kill % 3 == 1:
                time.sleep(dice.uniform(0, 0.2))
            else:  # told to end, it stores what it holds; every other time it is killed in the middle of that
                worker.send_signal(signal.SIGTERM)
                if kill % 3 == 0:
                    assert worker.wait(30) == 0
                until(lambda stored=stored, worker=worker: set(folder.glob("*")) - stored or worker.poll() is not None)
        watch.check()
        kills.append((worker.returncode, there.study("s").progress.trials))
        if folder.exists():
            n_damaged += damage(folder, dice)
    assert n_damaged > 0, (kills, sorted(folder.glob("*")))
    with training(command, own) as worker:
        until(lambda: there.study("s").state == "completed")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    watch.check()
    undisturbed = lrsearch.run(study, database=f"sqlite:///{tmp_path / 'undisturbed.db'}")
    same_trials(there.list_trials("s", limit=1000).items, undisturbed.trials())


@pytest.fixture
def database_url(tmp_path):
    """Where the studies are kept makes no difference to what workers store."""
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 20])
def test_killed_workers_and_damaged_states_change_no_bit(hosts, clients, watch, tmp_path, n):
    disturbed(n, hosts, clients, watch, tmp_path)
