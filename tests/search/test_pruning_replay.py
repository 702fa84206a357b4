"""The evidence of docs/pruning.md: replays on published curves, where they are at hand."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

CURVES = Path(os.environ.get("LRSEARCH_DATA", "data")) / "curves"
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pruning_replay.py"


@pytest.fixture(scope="module")
def replays() -> Any:
    if not (CURVES / "gpt124m_25k.json").exists():
        pytest.skip("the published curves are not at hand: LRSEARCH_DATA names no folder with `curves`")
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        found = importlib.util.spec_from_file_location("pruning_replay", SCRIPT)
        assert found is not None
        assert found.loader is not None
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPT.parent))
    return module


def test_equal_epochs_mislead_across_shapes_and_equal_phases_less(replays: Any) -> None:
    figures = replays.replay(replays.gpt_runs(CURVES), n_trials=36, repeats=20)
    early = figures["asha factor 3, from 4%, same-epoch"]
    assert early["best_kept"] == 0
    late = {compare: figures[f"asha factor 2, from 48%, {compare}"] for compare in ("same-epoch", "same-phase")}
    assert late["same-phase"]["best_kept"] > late["same-epoch"]["best_kept"]
    assert figures["none"] == {"epochs_trained": 1, "mean_regret": 0, "best_kept": 1}


def test_where_the_rate_is_unknown_early_rungs_keep_what_is_good(replays: Any) -> None:
    files = sorted((CURVES / "taskset").glob("*.json.gz"))
    if not files:
        pytest.skip("the TaskSet curves are not at hand")
    figures = replays.replay(replays.taskset_runs(files[0]), n_trials=64, repeats=10)
    rungs = figures["asha factor 3, from 12%, same-epoch"]
    assert rungs["epochs_trained"] < 0.4
    assert rungs["best_kept"] >= 0.7
