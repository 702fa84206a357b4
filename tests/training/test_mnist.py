"""What the project promises of full MNIST."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    not (Path(os.environ.get("LRSEARCH_DATA", "/nowhere")) / "MNIST").is_dir(),
    reason="MNIST is not in the data root: set LRSEARCH_DATA",
)
def test_adam_with_step_decay_reaches_99_percent_in_ten_epochs(bench, assign):
    step = {"family": "step", "initial_lr": 1e-3, "decay_rate": 0.5, "step_size": 5, "epochs": 10}
    recipe = assign("mnist-cnn", step, train={"optimizer": "adam", "batch_size": 64}, purpose="test")
    result, (point,) = bench().train(recipe)
    assert result.state == "completed"
    assert point.metrics["test_accuracy"] >= 0.99
