from __future__ import annotations

import math

import numpy as np
import pytest

import lrsearch
from lrsearch.local_range_test import task_range_test
from lrsearch.study import SweepSpec, TrainSpec
from lrsearch.tasks.registry import load_tasks
from lrsearch.training.program import program_class
from lrsearch.training.task_range_test import sweep_task
from lrsearch.training.workload import Workload

TASKS = {"digits-mlp": "adam", "least-squares": "sgd"}


@pytest.fixture(scope="module")
def workload():
    known = load_tasks([])
    return {name: Workload(known[name], {}) for name in TASKS}


@pytest.mark.parametrize("name", TASKS)
def test_a_sweep_is_repeatable_and_disturbs_nothing(workload, name):
    work = workload[name]
    train = TrainSpec.read({"optimizer": TASKS[name], "batch_size": 32})
    neighbour = program_class(work.task)(work, train, 0)
    before = neighbour.save(0)
    sweep = SweepSpec(low=1e-5, high=1.0, updates=40, batches_per_rate=2)
    first = sweep_task(work, train, 0, sweep)
    assert first == sweep_task(work, train, 0, sweep)
    after = neighbour.save(0)
    assert all(np.array_equal(before[key], after[key], equal_nan=True) for key in before)
    assert len(first.lr) <= 20


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_of_a_rate_is_that_of_its_updates(workload, name):
    work = workload[name]
    train = TrainSpec.read({"optimizer": TASKS[name], "batch_size": 32})
    sweep = SweepSpec(low=1e-5, high=1e-2, updates=40, batches_per_rate=2)
    found = sweep_task(work, train, 0, sweep)
    rates = np.repeat(found.lr, 2)[None]
    losses = program_class(work.task)(work, train, 0).losses(rates).reshape(-1, 2).mean(axis=1)
    assert found.loss == tuple(losses.tolist())


def test_least_squares_is_lost_where_its_recursion_says():
    result = task_range_test({"task": "least-squares", "low": 1e-4, "high": 100, "updates": 200})
    eigenvalues = Workload(load_tasks([])["least-squares"], {}).data.train[0]
    cliff = 2 / float(np.max(eigenvalues))
    assert result.suggested < cliff
    assert cliff / 4 < result.edge < 10 * cliff


@pytest.mark.usefixtures("store")
def test_auto_in_this_process(database_url):
    spec = {"name": "s", "task": "least-squares", "epochs": 2, "space": {"family": "cosine", "initial_lr": "auto"}}
    ran = lrsearch.run(spec | {"budget": {"trials": 2}}, database=database_url)
    assert ran.study.state == "completed"
    found = ran.study.spec.space.declarations["initial_lr"]
    assert found.source == "range test s.range"
    again = lrsearch.run(spec | {"budget": {"trials": 2}}, database=database_url)
    assert again.study.spec == ran.study.spec
    assert all(math.isfinite(trial.value) for trial in ran.trials())
