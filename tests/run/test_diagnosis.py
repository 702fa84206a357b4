"""A diagnosis of trials that a study trained: here, over HTTP, and at the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lrsearch.cli import app
from lrsearch.client import Client
from lrsearch.errors import NotFound
from lrsearch.external import trials
from lrsearch.in_process import load
from lrsearch.local_worker import on_this_machine
from lrsearch.service import Service
from lrsearch.study import StudySpec, read_spec

Verbs = Service | Client
RATES = {1e-6: "rate-too-low", 0.1: "healthy", 1e3: "diverged"}


def spec(**fields: object) -> StudySpec:
    space = {"family": "constant", "initial_lr": list(RATES)}
    train = {"optimizer": "sgd", "batch_size": 64, "seeds": 2}
    written = {"name": "rates", "task": "digits-mlp", "epochs": 6, "space": space, "sampler": "grid", "train": train}
    return read_spec(written | fields)


def test_trials_of_a_study_are_told_apart(verbs: Verbs, service: Service, tmp_path: Path) -> None:
    verbs.create(spec())
    on_this_machine(verbs, load(), study="rates", device="cpu").run()
    for row in service.trials("rates").items:
        found = verbs.diagnosis("rates", row.number)
        assert found == service.diagnosis("rates", row.number)
        assert RATES[row.schedule.initial_lr] in [verdict.rule for verdict in found.verdicts], found
        assert [layer.name for layer in found.layers] == ["1", "3", "5"]
    best = verbs.diagnosis("rates")
    assert best.healthy
    assert best.n_updates == 6 * 19
    answer = CliRunner().invoke(app, ["diagnose", "rates", "--database", f"sqlite:///{tmp_path / 'studies.db'}"])
    assert answer.exit_code == 0
    assert answer.stdout.startswith("healthy: the loss fell by ")
    assert "update/weights" in answer.stdout


def test_your_own_loop_is_diagnosed_by_what_it_reports(
    verbs: Verbs, service: Service, external: Callable[..., StudySpec]
) -> None:
    verbs.create(external(budget={"trials": 1}))
    for trial in trials(verbs, "own"):
        with pytest.raises(NotFound, match="nothing was reported"):
            verbs.diagnosis("own", 0)
        with trial:
            for epoch in range(trial.epochs):
                trial.report(val_loss=1.0 + 0.5 * epoch if epoch > 2 else 1.0 - 0.2 * epoch, train_loss=1 / (2 + epoch))
    assert [verdict.rule for verdict in verbs.diagnosis("own").verdicts] == ["overfitting"]
    with pytest.raises(NotFound):
        verbs.diagnosis("own", 7)
