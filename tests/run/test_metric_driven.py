"""Metric-driven schedules through the service: what they look at, what is known of them, the curve that they took."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

import lrsearch
from lrsearch.errors import InvalidInput
from lrsearch.external import LiveTrial
from lrsearch.in_process import finish
from lrsearch.service import Service
from lrsearch.study import read_spec

PLATEAU: dict[str, Any] = {
    "name": "driven",
    "task": "least-squares",
    "epochs": 8,
    "space": {
        "family": ["plateau", "adaptive_warmup"],
        "initial_lr": [0.3, 0.1],
        "decay_rate": [0.1, 0.5],
        "patience": [0, 2],
        "threshold": 0.1,
        "warmup": 2,
    },
    "sampler": "grid",
}


def test_the_exported_curve_is_the_one_that_was_trained(service: Service) -> None:
    service.create(read_spec(PLATEAU))
    finish(service, "driven")
    study = service.study("driven")
    assert study.state == "completed"
    assert study.spec.space.declarations["metric"] == "val_loss"
    assert study.spec.space.declarations["direction"] == "minimize"
    changed = 0
    for trial in service.trials("driven").items:
        assert trial.plan_key is None
        points = service.curve("driven", trial.number)
        table = list(csv.DictReader(io.StringIO(service.export("driven", trial.number, "table").text)))
        rates = np.array([float(row["lr"]) for row in table]).reshape(8, -1)
        np.testing.assert_allclose(rates[:, 0], [point.lr_first for point in points], rtol=1e-12)
        np.testing.assert_allclose(rates[:, -1], [point.lr_last for point in points], rtol=1e-12)
        replayed = trial.schedule.lr_table(rates.shape[1], history=[point.metrics for point in points])
        assert (replayed == rates.ravel()).all()
        changed += rates[-1, -1] < rates[4, 0]
    assert changed > len(points) // 2


def test_what_it_costs_is_told_as_far_as_it_is_known(service: Service) -> None:
    cost = service.cost(read_spec(PLATEAU))
    assert cost.epochs_asked == 8 * (cost.trials or 0)
    assert cost.epochs_distinct is None


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"metric": "test_loss"}, "can look at what is measured while training"),
        ({"metric": ["val_loss", "accuracy"]}, "'accuracy'"),
        ({"patience": -1}, "greater than or equal to 0"),
        ({"family": "adaptive_warmup", "patience": None, "decay_rate": None, "warmup": [0, 1]}, "greater than 0"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(service: Service, space: dict[str, Any], says: str) -> None:
    written = {name: value for name, value in {**PLATEAU["space"], **space}.items() if value is not None}
    with pytest.raises(InvalidInput, match=says):
        service.create(read_spec({**PLATEAU, "space": written}))


def test_your_own_loop_gives_its_history() -> None:
    seen = []

    def train(trial: LiveTrial) -> None:
        for epoch in range(trial.start, trial.epochs):
            seen.append(trial.schedule.lr(epoch, 1, history=trial.history))
            trial.report(val_loss=1.0)

    spec = {
        "task": "external",
        "epochs": 4,
        "space": {"family": "plateau", "initial_lr": [1.0], "decay_rate": 0.5, "patience": 0},
        "objective": {"metric": "val_loss", "direction": "minimize"},
        "budget": {"trials": 1},
    }
    assert lrsearch.run(spec, train).study.state == "completed"
    assert seen == [1.0, 1.0, 0.5, 0.25]
