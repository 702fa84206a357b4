"""Two real processes train each trial by a framework's loop: the same rates, rank 0's metrics, one common end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lrsearch.launch import Listener

from ..exports.players import framework
from ..torchrun import joined

PER_RANK = 3

pytestmark = pytest.mark.filterwarnings("ignore")  # advice of the frameworks


@pytest.mark.slow  # two processes that import both frameworks
def test_two_processes_share_every_trial_and_every_stop(service, external, tmp_path):
    framework("lightning")
    framework("transformers", "transformers.trainer")
    service.create(external(budget={"trials": 4}, sampler="random", epochs=3))
    service.create(external(name="alone", budget={"trials": 2}, epochs=3))
    script = Path(__file__).with_name("rank.py")
    with Listener(service, port=0) as listener:
        runs = joined([sys.executable, str(script), listener.url, str(PER_RANK)], 2, folder=tmp_path)
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr[-2000:] + runs[1].stderr[-2000:]
    first, second = ([json.loads(line) for line in run.stdout.splitlines() if line[0] in '["'] for run in runs)
    assert first[:4] == second[:4]
    assert [line[:3] for line in first[:4]] == [[n, PER_RANK * (2 if n % 2 else 3), True] for n in range(4)]
    assert [line[4] for line in first[:4]] == [2] * 4
    rows = service.trials("own").items
    assert [row.state for row in rows] == ["completed", "cancelled"] * 2
    assert [point.metrics["val_loss"] for point in service.curve("own", 0)] == [0.0, 1.0, 2.0]
    assert len({row.worker for row in rows}) == 1
    assert len(first) == len(second) == 6
    assert all("2 processes train this model" in line for line in first[4:] + second[4:])
