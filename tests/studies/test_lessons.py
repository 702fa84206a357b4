"""Every shipped study runs, cut down; docs/lessons.md tells what came of them in full."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

import lrsearch
from lrsearch.in_process import opened
from lrsearch.spec_file import read_study

from .test_shipped import COMPARISONS, FOLDER, STUDIES

CUT = {"mnist-cnn": "digits-cnn", "mnist1d-cnn": "digits-cnn"}
"""Small tasks in place of large ones, with the same options."""
SMALL = ("digits-mlp", "digits-cnn", "synthetic-mlp", "least-squares")
"""Those that need no data and train in a moment; convolutions take a few seconds to be measured first."""
RUNNABLE = {name: CUT.get(task := read_study(name).task, task) for name in STUDIES}
LESSONS = (FOLDER.parent / "docs" / "lessons.md").read_text()
OPTIMIZERS = ("sgd", "adam", "rmsprop", "adagrad", "ranger")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRSEARCH_DATABASE_URL", f"sqlite:///{tmp_path / 'own.db'}")
    monkeypatch.setenv("LRSEARCH_PREFIXES", str(tmp_path / "prefixes"))


def cut(name, **changes):
    """A shipped study of few trials on a task that trains in a moment."""
    spec = read_study(name).model_dump(mode="json", exclude_unset=True)
    spec["task"] = CUT.get(spec["task"], spec["task"])
    if spec["task"] == "digits-cnn":
        spec["epochs"] = 6
    if spec["task"] != "least-squares":
        spec["train"] = {**spec.get("train", {}), "seeds": 1, "batch_size": 256} | changes.pop("train", {})
    return {**spec, "budget": {"trials": 2}, "pruner": "none", "confirm": None, **changes}


def run(spec):
    result = lrsearch.run(spec)
    trials = result.trials()
    assert result.study.state == "completed"
    assert len(trials) >= 2
    assert {trial.state for trial in trials} <= {"completed", "diverged"}
    assert math.isfinite(result.best.value)
    return result


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (task == "digits-cnn"))
        for name, task in RUNNABLE.items()
        if task in SMALL
    ],
)
def test_a_shipped_study_runs(name):
    run(cut(name))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_optimizers_stand_side_by_side(optimizer):
    spec = cut("digits-optimizers", train={"optimizer": optimizer})
    assert run(spec).study.spec.train.optimizer.name == optimizer


@pytest.mark.slow
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("dropout", [0, 0.3])
def test_the_ablation_has_four_arms(dropout, batch_norm):
    options = {"dropout": dropout, "batch_norm": batch_norm}
    assert run(cut("digits-ablation", options=options)).study.spec.options == options


def test_lessons_are_of_shipped_studies():
    told = re.findall(r"^`([a-z0-9-]+)`: \*\*", LESSONS, re.MULTILINE)
    assert set(told) <= {*STUDIES, *COMPARISONS}
    assert {"digits-ablation", "digits-optimizers", "digits-warmup", "mnist-shapes"} <= set(told)


@pytest.mark.slow
def test_warm_up_decides_at_a_high_rate():
    """What docs/lessons.md says of it, as far as it is not a matter of last bits."""
    result = lrsearch.run("digits-warmup")
    value = {(trial.params["initial_lr"], trial.params["warmup"]): trial.value for trial in result.trials()}
    assert result.best.params["initial_lr"] == 0.2
    assert result.best.params["warmup"] > 0
    assert max(value[0.03, warmup] for warmup in (0, 1, 4)) < 1.1 * min(value[0.03, warmup] for warmup in (0, 1, 4))
    beyond = [trial for trial in result.trials() if trial.params["initial_lr"] == 0.4]
    assert all(trial.value is None or trial.value > 1 for trial in beyond)
    with opened() as service:
        for trial in beyond:
            assert not {verdict.rule for verdict in service.diagnosis("digits-warmup", trial.number).verdicts} <= {
                "healthy"
            }
