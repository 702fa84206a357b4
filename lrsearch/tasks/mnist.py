"""MNIST: 28 x 28 images of handwritten digits."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import Unavailable
from ..study import TaskDefaults
from .data_root import data_root
from .draw import order
from .images import CnnOptions, small_cnn
from .task import Data, Task
from .vision import torchvision_module

if TYPE_CHECKING:
    from torch import nn

N_TRAIN = 54_000
MEAN, STD = 0.1307, 0.3081


class MnistCnn(Task):
    """MNIST (28 x 28, 54,000 for training, 6,000 held out of them), two convolutions and one hidden layer."""

    name = "mnist-cnn"
    Options = CnnOptions
    train_examples = N_TRAIN
    has_test = True
    defaults = TaskDefaults(optimizer="adam", batch_size=64, initial_lr={"low": 1e-4, "high": 1e-2, "log": True})

    def model(self) -> nn.Module:
        """``small_cnn`` for 28 x 28 pixels."""
        return small_cnn(28, self.options)

    def data(self) -> Data:
        """Inputs (x - 0.1307) / 0.3081, float32 of shape (n, 1, 28, 28); the official test set is the test set.

        Raises:
            Unavailable: the files are neither in the data root nor to be downloaded.
        """
        return mnist(data_root())


@lru_cache(maxsize=1)
def mnist(root: Path) -> Data:
    """MNIST from ``root``, downloaded where it is missing and the internet is there."""
    inputs, labels = read(root, train=True)
    split = order(len(labels), 0)
    train, val = split[:N_TRAIN], split[N_TRAIN:]
    return Data(train=(inputs[train], labels[train]), val=(inputs[val], labels[val]), test=read(root, train=False))


def read(root: Path, *, train: bool) -> tuple[np.ndarray, np.ndarray]:
    """One of MNIST's two sets, scaled."""
    found = _found(root, train)
    images = np.asarray(found.data, dtype=np.float32)[:, None] / np.float32(255)
    return (images - np.float32(MEAN)) / np.float32(STD), np.asarray(found.targets, dtype=np.int64)


def _found(root: Path, train: bool) -> Any:
    datasets = torchvision_module("datasets")
    try:
        return datasets.MNIST(root, train=train, download=False)
    except RuntimeError:
        _download(root, datasets)
    return datasets.MNIST(root, train=train, download=False)


def _download(root: Path, datasets: Any) -> None:
    """Fetch into a folder of our own, then rename: two workers that begin together do not read half a file."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix="MNIST.") as fresh:
            datasets.MNIST(fresh, download=True)
            if not (root / "MNIST").exists():
                os.replace(Path(fresh) / "MNIST", root / "MNIST")
    except (OSError, RuntimeError) as error:
        raise Unavailable(
            f"MNIST is not in the data root `{root}` and could not be downloaded ({error}); set LRSEARCH_DATA to a "
            "folder that holds MNIST/raw/train-images-idx3-ubyte and its three companions (or their .gz files), or "
            "choose a task that needs no download, as digits-cnn"
        ) from None
