"""DeepOBS's Fashion-MNIST 2c2d, as a task of one's own.

The network of https://arxiv.org/abs/1903.05499: convolutions 5 x 5 of 32 and 64 channels, each with max-pooling, a
hidden layer of 1,024, batches of 128. Its best constant rates after 100 epochs are known: 0.158 (SGD), 2.5e-3 (momentum
0.9), 2.5e-4 (Adam); from 0.63, 0.04 and 0.04 on, training is lost.

    lrsearch range-test examples/fashion-range.yaml --task examples/fashion_2c2d.py:Fashion2c2d --plot range.png
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from torch import nn

import lrsearch
from lrsearch.errors import Unavailable
from lrsearch.study import TaskDefaults
from lrsearch.tasks.data_root import data_root

N_TRAIN = 54_000


class Fashion2c2d(lrsearch.Task):
    """Fashion-MNIST with DeepOBS's 2c2d network; 54,000 images for training, 6,000 held out of them."""

    name = "fashion-2c2d"
    train_examples = N_TRAIN
    has_test = True
    defaults = TaskDefaults(optimizer="adam", batch_size=128, initial_lr={"low": 1e-4, "high": 1e-2, "log": True})

    def model(self) -> nn.Module:
        """Weights from a truncated normal distribution of deviation 0.05, biases 0.05, as in DeepOBS."""
        model = nn.Sequential(
            nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64 * 7 * 7, 1024), nn.ReLU(), nn.Linear(1024, 10),
        )  # fmt: skip
        for layer in model:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.05, a=-0.1, b=0.1)
                nn.init.constant_(layer.bias, 0.05)
        return model

    def data(self) -> lrsearch.Data:
        """Inputs x / 255, float32 of shape (n, 1, 28, 28), from ``FashionMNIST/raw`` in the data root."""
        folder = data_root() / "FashionMNIST" / "raw"
        inputs, labels = _read(folder, "train")
        return lrsearch.Data(
            train=(inputs[:N_TRAIN], labels[:N_TRAIN]),
            val=(inputs[N_TRAIN:], labels[N_TRAIN:]),
            test=_read(folder, "t10k"),
        )


def _read(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    images = np.frombuffer(_bytes(folder / f"{part}-images-idx3-ubyte"), np.uint8, offset=16)
    labels = np.frombuffer(_bytes(folder / f"{part}-labels-idx1-ubyte"), np.uint8, offset=8)
    return images.reshape(-1, 1, 28, 28).astype(np.float32) / np.float32(255), labels.astype(np.int64)


def _bytes(path: Path) -> bytes:
    packed = path.with_name(path.name + ".gz")
    if path.exists():
        return path.read_bytes()
    if packed.exists():
        return gzip.decompress(packed.read_bytes())
    raise Unavailable(f"{path} is missing: set LRSEARCH_DATA to a folder with FashionMNIST/raw")
