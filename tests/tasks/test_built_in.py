"""The built-in tasks: what they announce is what they hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lrsearch.errors import Unavailable
from lrsearch.tasks.catalog import BUILT_IN, CATALOG
from lrsearch.tasks.data_root import data_root
from lrsearch.tasks.digits import digits
from lrsearch.tasks.mnist1d import mnist1d
from lrsearch.tasks.mnist1d_signal import signals
from lrsearch.tasks.synthetic import synthetic

needs_mnist = pytest.mark.skipif(
    not (Path(os.environ.get("LRSEARCH_DATA", "/nowhere")) / "MNIST").is_dir(),
    reason="MNIST is not in the data root: set LRSEARCH_DATA",
)
TASKS = [pytest.param(name, marks=needs_mnist) if name == "mnist-cnn" else name for name in BUILT_IN]


def test_the_catalog_describes_every_task_without_heavy_imports():
    script = "import sys, lrsearch.tasks.catalog; print({'torch', 'sklearn', 'scipy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
    assert CATALOG.keys() == BUILT_IN.keys()


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name not in ("arrays", "least-squares", "mnist-cnn")])
def test_a_task_holds_what_it_announces(name):
    import torch

    task = BUILT_IN[name]()
    data = task.data()
    assert len(data.train[0]) == CATALOG[name].train_examples
    assert (data.test is not None) == CATALOG[name].has_test
    for inputs, targets in data.arrays().values():
        assert inputs.dtype == np.float32
        assert np.isfinite(inputs).all()
        outputs = task.model()(torch.from_numpy(inputs[:5]))
        assert torch.isfinite(task.loss(outputs, torch.from_numpy(targets[:5])))
        assert len(task.measure(outputs, torch.from_numpy(targets[:5]))["accuracy"]) == 5


def test_digits_are_split_once_and_for_all():
    from sklearn.datasets import load_digits

    data = digits()
    rows = np.concatenate([inputs.reshape(-1, 64) for inputs, _ in data.arrays().values()])
    assert [len(targets) for _, targets in data.arrays().values()] == [1197, 300, 300]
    assert np.array_equal(np.sort(rows * 16, axis=0), np.sort(load_digits().data, axis=0))
    assert [int(label) for label in data.train[1][:8]] == [2, 4, 5, 4, 8, 2, 0, 6]


def test_mnist1d_is_the_published_data():
    from mnist1d.data import get_dataset_args, make_dataset

    before = np.random.get_state()
    published = make_dataset(get_dataset_args())
    np.random.set_state(before)
    data = mnist1d()
    for inputs, labels, theirs in ((*data.train, ""), (*data.test, "_test")):
        assert np.abs(inputs - published[f"x{theirs}"]).max() <= 1e-6
        assert np.array_equal(labels, published[f"y{theirs}"])
    raw, _ = signals(500, 42)
    scaled = (raw - raw.mean()) / raw.std()
    assert np.abs(scaled - np.concatenate([published["x"], published["x_test"]])).max() <= 1e-12


def test_mnist1d_validation_is_drawn_anew():
    data = mnist1d()
    train = {row.tobytes() for row in data.train[0]}
    assert not train & {row.tobytes() for row in data.val[0]}
    assert np.bincount(data.val[1]).tolist() == [100] * 10


def test_synthetic_labels_say_whether_the_sum_is_above_ten():
    data = synthetic()
    assert [len(targets) for _, targets in data.arrays().values()] == [1000, 200, 200]
    for inputs, targets in data.arrays().values():
        assert inputs.min() >= 0
        assert inputs.max() < 1
        assert np.array_equal(targets == 1, inputs.astype(np.float64).sum(axis=1) > 10)
    assert 0.4 < data.train[1].mean() < 0.6


def test_a_spectrum_may_be_given():
    task = BUILT_IN["least-squares"]
    assert task({"spectrum": [4, 1.5]}).eigenvalues().tolist() == [4, 1.5]
    assert task({"dimension": 3, "exponent": 1}).eigenvalues().tolist() == pytest.approx([1, 1 / 2, 1 / 3])


@needs_mnist
def test_mnist_holds_validation_out_of_the_training_set():
    data = BUILT_IN["mnist-cnn"]().data()
    arrays = data.arrays()
    assert [inputs.shape for inputs, _ in arrays.values()] == [(n, 1, 28, 28) for n in (54_000, 6_000, 10_000)]
    pixels = np.concatenate([arrays["train"][0], arrays["val"][0]])
    assert abs(pixels.mean()) < 1e-3
    assert abs(pixels.std() - 1) < 1e-3
    assert len({row.tobytes() for row in arrays["train"][0]} & {row.tobytes() for row in arrays["val"][0]}) == 0


def test_missing_mnist_names_the_way_out(tmp_path, monkeypatch):
    from lrsearch.tasks.vision import torchvision_module

    monkeypatch.setattr(torchvision_module("datasets").MNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setenv("LRSEARCH_DATA", str(tmp_path))
    with pytest.raises(Unavailable, match="LRSEARCH_DATA"):
        BUILT_IN["mnist-cnn"]().data()
    assert list(tmp_path.iterdir()) == []


def test_the_data_root_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LRSEARCH_DATA", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.delenv("LRSEARCH_DATA")
    assert data_root().parts[-1] == "data"
