"""The benchmarks' own tasks, as a user would write them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import nn

import lrsearch
from lrsearch.errors import Unavailable
from lrsearch.study import TaskDefaults
from lrsearch.tasks.data_root import data_root
from lrsearch.tasks.draw import order
from lrsearch.tasks.images import CnnOptions, small_cnn
from lrsearch.tasks.mnist import mnist

CUT = 12_000
FILE = "cifar100_subset.npz"


class MnistCut(lrsearch.Task):
    """The first 12,000 training images of MNIST (6,000 held out of the others), the network of mnist-cnn."""

    name = "mnist-cut"
    Options = CnnOptions
    train_examples = CUT
    has_test = False
    defaults = TaskDefaults(optimizer="adam", batch_size=64, initial_lr={"low": 1e-4, "high": 1e-2})

    def model(self) -> nn.Module:
        """Convolutions of 16 and 32 channels, one hidden layer of 128, dropout."""
        return small_cnn(28, self.options)

    def data(self) -> lrsearch.Data:
        """As mnist-cnn's, cut."""
        whole = mnist(data_root())
        return lrsearch.Data(train=(whole.train[0][:CUT], whole.train[1][:CUT]), val=whole.val)


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm, and the input added (He et al., CVPR 2016)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        same = stride == 1 and n_in == n_out
        self.skip = nn.Identity() if same else nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's outputs."""
        return torch.relu(self.body(x) + self.skip(x))


class ResnetBn(lrsearch.Task):
    """A subset of CIFAR-100 (32 x 32, read from cifar100_subset.npz), a small ResNet with batch norm."""

    name = "resnet-bn"
    has_test = False
    defaults = TaskDefaults(
        optimizer={"name": "sgd", "momentum": 0.9}, batch_size=128, initial_lr={"low": 1e-2, "high": 0.3, "log": True}
    )

    def model(self) -> nn.Module:
        """Convolution 16, blocks 16, 32 and 64, mean over the pixels, 100 scores."""
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, 1, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            Block(16, 16, 1),
            Block(16, 32, 2),
            Block(32, 64, 2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, 100),
        )

    def data(self) -> lrsearch.Data:
        """A tenth of the subset is held out."""
        inputs, labels = cifar()
        split = order(len(labels), 0)
        val, train = split[: len(split) // 10], split[len(split) // 10 :]
        return lrsearch.Data(train=(inputs[train], labels[train]), val=(inputs[val], labels[val]))


@lru_cache(maxsize=1)
def cifar() -> tuple[np.ndarray, np.ndarray]:
    """Images, float32 of shape (n, 3, 32, 32) with mean 0 and deviation 1 a channel, and their labels."""
    path = data_root() / FILE
    if not path.exists():
        raise Unavailable(f"{FILE} is not in the data root; set LRSEARCH_DATA")
    with np.load(path) as arrays:
        images, labels = arrays["x_train"], arrays["y_train"]
    scaled = images.astype(np.float32) / np.float32(255)
    scaled = (scaled - scaled.mean((0, 1, 2))) / scaled.std((0, 1, 2))
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)), labels
