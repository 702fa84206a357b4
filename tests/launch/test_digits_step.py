"""The main job on real data: the shipped study over HTTP, kills in the middle, on both databases."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from lrsearch.spec_file import read_study
from lrsearch.store import Store
from lrsearch.study import Budget

from ..conftest import fresh_database

Make = Callable[..., Any]


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.slow), "postgres"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from fresh_database(request.param, request)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_digits_step_survives_kills_and_its_best_is_the_best(
    serving: Make, client: Make, until: Make, store: Store, database_url: str, workers: int
) -> None:
    """The service is killed with its workers. Long form: the whole study, two workers, one killed before."""
    one = serving(workers=workers, LRSEARCH_DATABASE_URL=database_url)
    there = client(one.url)
    spec = read_study("digits-step")
    n_trials = 12 if workers == 1 else 32
    study = there.create(spec.model_copy(update={"budget": Budget(trials=n_trials)}))[0]

    def trained() -> int:
        return there.study(study.name).progress.epochs.trained

    until(lambda: trained() > 30)
    if workers > 1:
        one.workers()[0].kill()
        until(lambda: trained() > 120)
    one.end(signal.SIGKILL)
    two = serving(workers=1, port=one.port, LRSEARCH_DATABASE_URL=database_url)
    until(lambda: there.study(study.name).state == "completed", 240)

    trials = there.list_trials(study.name, limit=100).items
    assert [trial.number for trial in trials] == list(range(n_trials))
    assert {trial.state for trial in trials} <= {"completed", "diverged"}
    values = {trial.number: trial.value for trial in trials if trial.state == "completed"}
    best = there.best(study.name)
    assert best.trial == min(values, key=lambda number: (values[number], number))
    assert best.value == values[best.trial]
    for trial in trials:
        curve = there.curve(study.name, trial.number)
        assert [point.epoch for point in curve] == list(range(1, len(curve) + 1))
        if trial.state == "completed":
            assert len(curve) == 20
            assert curve[-1].metrics["val_loss"] == trial.value

    exported: dict[str, Any] = {}
    exec(there.export(study.name, target="torch").text, exported)
    table = best.schedule.lr_table(best.updates_per_epoch)
    rates = np.array([exported["lr"](update) for update in range(len(table))])
    assert np.abs(rates - table).max() <= 1e-12 * best.schedule.initial_lr
    assert two.end() == 0
