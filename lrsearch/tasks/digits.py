"""scikit-learn's 1,797 scanned digits, 8 x 8 pixels: real data that comes with the package."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..study import TaskDefaults
from .draw import order
from .images import CnnOptions, small_cnn
from .task import Data, Task

if TYPE_CHECKING:
    from torch import nn

N_TRAIN, N_VAL = 1197, 300


@lru_cache(maxsize=1)
def digits() -> Data:
    """Inputs in [0, 1], float32 of shape (n, 1, 8, 8); a fixed split into 1,197 / 300 / 300."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # scikit-learn ships no types

    images, labels = load_digits(return_X_y=True)
    inputs = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    split = np.split(order(len(labels), 0), [N_TRAIN, N_TRAIN + N_VAL])
    train, val, test = ((inputs[part], labels[part].astype(np.int64)) for part in split)
    return Data(train=train, val=val, test=test)


class DigitsMlp(Task):
    """Scanned digits (8 x 8, 1,197 for training), fully connected 64-64-32-10."""

    name = "digits-mlp"
    train_examples = N_TRAIN
    has_test = True
    defaults = TaskDefaults(optimizer="adam", batch_size=64, initial_lr={"low": 1e-3, "high": 1e-1, "log": True})

    def model(self) -> nn.Module:
        """64-64-32-10 with ReLU."""
        from torch import nn

        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)
        )

    def data(self) -> Data:
        """As ``digits``."""
        return digits()


class DigitsCnn(Task):
    """Scanned digits (8 x 8, 1,197 for training), two convolutions and one hidden layer."""

    name = "digits-cnn"
    Options = CnnOptions
    train_examples = N_TRAIN
    has_test = True
    defaults = TaskDefaults(optimizer="adam", batch_size=64, initial_lr={"low": 3e-4, "high": 3e-2, "log": True})

    def model(self) -> nn.Module:
        """``small_cnn`` for 8 x 8 pixels."""
        return small_cnn(8, self.options)

    def data(self) -> Data:
        """As ``digits``."""
        return digits()
