from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lrsearch.local_range_test import task_range_test

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DATA = Path(os.environ.get("LRSEARCH_DATA", "")) / "FashionMNIST" / "raw"
BEST = {"sgd": 0.158, "momentum": 0.04, "adam": 0.00158}
"""Measured: the constant rate with the lowest validation loss after 300 updates; docs/range-test.md."""
CLIFF = {"sgd": 0.63, "momentum": 0.04, "adam": 0.04}
"""From DeepOBS's baselines."""
OPTIMIZERS = {"sgd": "sgd", "momentum": {"name": "sgd", "momentum": 0.9}, "adam": "adam"}


def test_the_torch_example_runs():
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / "range_test_torch.py")], capture_output=True, text=True, check=True
    )
    assert "begin with" in ran.stdout


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="LRSEARCH_DATA holds no FashionMNIST")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fashion_2c2d_is_told_a_rate_near_the_best(optimizer):
    spec = {"task": "fashion-2c2d", "train": {"optimizer": OPTIMIZERS[optimizer]}}
    result = task_range_test(spec, tasks=[f"{EXAMPLES / 'fashion_2c2d.py'}:Fashion2c2d"], device="cpu")
    assert BEST[optimizer] / 3 <= result.suggested <= BEST[optimizer] * 3
    assert result.suggested < CLIFF[optimizer]
