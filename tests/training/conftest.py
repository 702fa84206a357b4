"""Assignments, programs and trainers for the tests of training."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lrsearch.study import Assignment, Result, TrainSpec
from lrsearch.tasks.catalog import BUILT_IN, CATALOG
from lrsearch.training.prefixes import PrefixStore
from lrsearch.training.program import program_class
from lrsearch.training.trainer import Trainer
from lrsearch.training.workload import Workload

STEP = {"family": "step", "initial_lr": 0.05, "decay_rate": 0.5, "step_size": 2, "epochs": 4}


@pytest.fixture(scope="session")
def make_program():
    """``make_program(task, options, seed, kind, **train)``: a program on the processor; data are loaded once."""
    workloads = {}

    def make(task="digits-mlp", options=None, seed=0, kind=None, **train):
        key = (task, repr(options))
        if key not in workloads:
            workloads[key] = Workload(BUILT_IN[task], options or {})
        recipe = {"optimizer": CATALOG[task].defaults.optimizer, "batch_size": 64, **train}
        kind = kind or program_class(workloads[key].task)
        return kind(workloads[key], TrainSpec.read(recipe), seed, "cpu")

    return make


@pytest.fixture
def same():
    """``same(a, b)``: two states, or two records apart from their seconds, are equal to the bit."""

    def equal(a, b):
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(np.array_equal(a[k], b[k], equal_nan=True) for k in a)
        pairs = [(a.metrics[name], b.metrics[name]) for name in a.metrics]
        values = all(x == y or (math.isnan(x) and math.isnan(y)) for x, y in pairs)
        return values and replace(a, seconds=0, metrics={}) == replace(b, seconds=0, metrics={})

    return equal


@pytest.fixture
def assign():
    """``assign(task, schedule, train={...}, ...)``: an assignment as the service would hand it out."""

    def build(task="least-squares", schedule=None, *, options=None, train=None, **fields):
        defaults = CATALOG[task].defaults if task in CATALOG else CATALOG["digits-mlp"].defaults
        written = {"optimizer": defaults.optimizer, "batch_size": defaults.batch_size, **(train or {})}
        spec = TrainSpec.read(written).model_dump(mode="json", exclude={"seed", "seeds"})
        schedule = schedule or STEP
        length = schedule.get("epochs") or -(-schedule["updates"] // schedule["eval_every"])
        recipe = {"task": task, "options": options or {}, **spec}
        given = {"study": "s", "trial": 0, "attempt": 1, "recipe": recipe, "schedule": schedule, "until_epoch": length}
        return Assignment.model_validate({**given, **fields})

    return build


class Bench:
    """A trainer with its store, and what it told."""

    def __init__(self, tasks, prefixes, lanes):
        self.prefixes = prefixes
        self.trainer = Trainer(tasks, prefixes, "cpu", lanes=lanes)

    def train(self, assignment, stop_after=None):
        """The result and the points; after ``stop_after`` points it is dropped."""
        [(result, points)] = self.train_all([assignment], stop_after).values()
        return result, points

    def train_all(self, assignments, stop_after=None):
        """Result and points of each, by its key; all are dropped after ``stop_after`` points."""
        told = {assignment.key: [] for assignment in assignments}
        for assignment in assignments:
            self.trainer.add(assignment)
        while self.trainer.busy:
            if stop_after is not None and sum(map(len, told.values())) >= stop_after:
                for key in told:
                    self.trainer.drop(key)
                break
            for key, item in self.trainer.step():
                told[key].append(item)
        results = {key: [item for item in items if isinstance(item, Result)] for key, items in told.items()}
        assert all(len(found) <= 1 and (not found or told[key][-1] is found[0]) for key, found in results.items())
        return {key: (results[key][0], items[:-1]) if results[key] else (None, items) for key, items in told.items()}


@pytest.fixture
def bench():
    """``bench(prefixes, tasks, lanes)``: a fresh trainer, in a fresh store in memory unless one is given."""

    def build(prefixes=None, tasks=BUILT_IN, lanes=None):
        return Bench(tasks, prefixes or PrefixStore(None), lanes)

    return build
