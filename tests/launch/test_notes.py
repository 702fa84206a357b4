"""What a worker has to say of how a task trains reaches the study: the whole way, with an LSTM."""

from __future__ import annotations

from pathlib import Path

import pytest

import lrsearch

pytest.importorskip("torch")
ZOO = Path(__file__).parent.parent / "training" / "zoo.py"


def test_an_lstm_says_in_its_study_why_it_trains_lane_by_lane(tmp_path, monkeypatch):
    monkeypatch.setenv("LRSEARCH_CALIBRATION", str(tmp_path / "calibration"))
    monkeypatch.setenv("LRSEARCH_PREFIXES", str(tmp_path / "prefixes"))
    spec = {
        "task": "lstm",
        "epochs": 1,
        "train": {"optimizer": "sgd", "batch_size": 50},
        "space": {"family": "constant", "initial_lr": [0.1, 0.2], "warmup": 0},
        "sampler": "grid",
    }
    result = lrsearch.run(spec, tasks=[f"{ZOO}:Lstm"], database=f"sqlite:///{tmp_path / 'studies.db'}")
    assert result.study.state == "completed"
    (warning,) = result.study.warnings
    assert "lane by lane" in warning
    assert "LSTM" in warning
