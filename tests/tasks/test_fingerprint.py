"""Fingerprints change with whatever changes a training, and with nothing else."""

from __future__ import annotations

import random

import numpy as np
import pytest

from lrsearch.tasks.catalog import BUILT_IN
from lrsearch.tasks.draw import order, uniform
from lrsearch.tasks.fingerprint import data_digest, fingerprint
from lrsearch.tasks.initial import initial_arrays
from lrsearch.tasks.registry import load_task
from lrsearch.tasks.task import Data

SOURCE = """
import numpy as np, lrsearch
class Mine(lrsearch.Task):
    name = "mine"
    def model(self):
        import torch
        return torch.nn.Linear(2, 3)
    def data(self):
        x, y = np.ones((4, 2)), np.zeros(4, dtype=int)
        return lrsearch.Data(train=(x, y), val=(x, y))
    def loss(self, outputs, targets):
        return outputs.square().mean() * 1.0
"""


@pytest.fixture
def of_source(tmp_path):
    def fingerprint_of(source, seed=0):
        path = tmp_path / "my.py"
        path.write_text(source)
        return fingerprint(load_task(f"{path}:Mine")(), seed)

    return fingerprint_of


def test_the_same_task_has_the_same_fingerprint(of_source):
    assert of_source(SOURCE) == of_source(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* 1.0", "* 2.0"),
        ("Linear(2, 3)", "Linear(2, 4)"),
        ("np.ones", "np.zeros"),
        ('"mine"', '"mine"; version = "2"'),
    ],
)
def test_editing_one_line_changes_it(of_source, old, new):
    assert of_source(SOURCE) != of_source(SOURCE.replace(old, new))


def test_it_depends_on_the_seed_and_the_options():
    task = BUILT_IN["digits-cnn"]
    assert fingerprint(task(), 0) == fingerprint(task({"dropout": 0.5}), 0)  # options are in the recipe's own key
    assert fingerprint(task(), 0) != fingerprint(task(), 1)
    assert fingerprint(task(), 0) != fingerprint(task({"batch_norm": True}), 0)


def test_it_depends_on_every_part_of_the_data():
    x, y = np.arange(6.0).reshape(3, 2), np.arange(3)
    same = [data_digest(Data((x, y), (x, y), (x, y))), data_digest(Data((x.copy(), y), (x, y), (x, y)))]
    others = [
        data_digest(Data((x, y), (x, y))),
        data_digest(Data((x, y), (x, y + 1), (x, y))),
        data_digest(Data((x, y), (x, y), (x + 1e-12, y))),
        data_digest(Data((x.astype(np.float32), y), (x, y), (x, y))),
    ]
    assert same[0] == same[1]
    assert len({same[0], *others}) == 5


def test_initial_weights_are_a_function_of_the_seed_and_leave_no_trace():
    import torch

    task = BUILT_IN["digits-mlp"]()
    first = initial_arrays(task, 3)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    torch.set_default_dtype(torch.float64)
    again = initial_arrays(task, 3)
    assert torch.get_default_dtype() == torch.float64
    torch.set_default_dtype(torch.float32)
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert first["1.weight"].dtype == np.float32
    assert not np.array_equal(first["1.weight"], initial_arrays(task, 4)["1.weight"])


def test_draws_never_change():
    assert order(8, 0, 1).tolist() == [5, 3, 7, 2, 4, 1, 0, 6]
    assert sorted(order(1000, 5, 7).tolist()) == list(range(1000))
    assert uniform(2, 1).tolist() == [0.3035680343067586, 0.8487087496857769]
