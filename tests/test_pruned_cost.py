"""How the benchmark of pruned searches counts winners that were kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_a_winner_is_kept_within_the_noise_of_the_cell_best_on_the_mean(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    from pruned_cost import judged

    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            sys.modules.pop(name)
    # cell 0 is best on the mean, with noise 0.1; cell 1 wins the first seed once, and is noisy (0.64); cell 2 is steady
    values = [{0: 1.0, 1: 0.8, 2: 1.05}, {0: 1.1, 1: 1.8, 2: 1.05}, {0: 0.9, 1: 2.0, 2: 1.05}]
    told = judged([0, 2, 2], values)
    assert told["seed_noise"] == pytest.approx(0.1)
    assert told["winner_is_the_grids"] == 1  # the second seed's, cell 2
    assert told["winner_within_noise"] == 1  # 1.0 and 1.05 lie 0.2 and 0.15 above their seeds' winners
    assert told["winner_within_its_own_noise"] == 2  # the first: within 0.2 of a winner whose noise is 0.64
    assert told["winner_as_good_on_other_seeds"] == 3
