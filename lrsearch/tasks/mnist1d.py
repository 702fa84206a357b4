"""MNIST-1D: 40-sample signals of ten classes, small but hard: logistic regression reaches 32 %, a CNN 94 %."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..study import TaskDefaults
from .mnist1d_signal import LENGTH, signals
from .task import Data, Task

if TYPE_CHECKING:
    from torch import nn

N_TRAIN = 4000
SEED, VAL_SEED = 42, 43
RATES = {"low": 1e-3, "high": 3e-2, "log": True}


@lru_cache(maxsize=1)
def mnist1d() -> Data:
    """The published 4,000 for training and 1,000 for test; 1,000 more are drawn for validation."""
    published, labels = signals(500, SEED)
    extra, extra_labels = signals(100, VAL_SEED)
    mean, std = published.mean(), published.std()
    inputs, val = (((raw - mean) / std).astype(np.float32) for raw in (published, extra))
    return Data(
        train=(inputs[:N_TRAIN], labels[:N_TRAIN]),
        val=(val, extra_labels),
        test=(inputs[N_TRAIN:], labels[N_TRAIN:]),
    )


class Mnist1dMlp(Task):
    """MNIST-1D signals (40 samples, 4,000 for training), fully connected 40-100-100-10."""

    name = "mnist1d-mlp"
    train_examples = N_TRAIN
    has_test = True
    defaults = TaskDefaults(optimizer="adam", batch_size=100, initial_lr=RATES)

    def model(self) -> nn.Module:
        """40-100-100-10 with ReLU."""
        from torch import nn

        return nn.Sequential(nn.Linear(LENGTH, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))

    def data(self) -> Data:
        """As ``mnist1d``."""
        return mnist1d()


class Mnist1dCnn(Task):
    """MNIST-1D signals (40 samples, 4,000 for training), three convolutions of 25 channels."""

    name = "mnist1d-cnn"
    train_examples = N_TRAIN
    has_test = True
    defaults = TaskDefaults(optimizer="adam", batch_size=100, initial_lr=RATES)

    def model(self) -> nn.Module:
        """Conv1d 25-25-25 with stride 2, each with ReLU; 10 scores: the network of the paper."""
        from torch import nn

        return nn.Sequential(
            nn.Unflatten(1, (1, LENGTH)),
            nn.Conv1d(1, 25, 5, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv1d(25, 25, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv1d(25, 25, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(125, 10),
        )

    def data(self) -> Data:
        """As ``mnist1d``."""
        return mnist1d()
