"""Tasks of many architectures on small made-up data: what layers do, not how well they learn."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from torch import nn

import lrsearch
from lrsearch.tasks.catalog import BUILT_IN
from lrsearch.tasks.draw import order, uniform
from lrsearch.tasks.task import Task

N_TRAIN, N_VAL = 150, 50


@cache
def drawn(*shape: int) -> lrsearch.Data:
    """Inputs of ``shape``, uniform in [-1, 1]; the class is the first of four whose part of the input is largest."""
    n = N_TRAIN + N_VAL
    inputs = (2 * uniform(n * int(np.prod(shape)), 7) - 1).astype(np.float32).reshape(n, *shape)
    parts = inputs.reshape(n, -1)[:, : int(np.prod(shape)) // 4 * 4].reshape(n, 4, -1)
    targets = parts.sum(axis=2, dtype=np.float64).argmax(axis=1)
    train, val = np.split(order(n, 3), [N_TRAIN])
    return lrsearch.Data(train=(inputs[train], targets[train]), val=(inputs[val], targets[val]))


class Block(nn.Module):
    """Two 3x3 convolutions with batch norm, and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])
        self.around = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = self.norms[1](self.second(torch.relu(self.norms[0](self.first(x)))))
        return torch.relu(inside + self.around(x))


class ResNet(Task):
    """A residual network with batch norm on 3 x 6 x 6 images."""

    name = "resnet"
    train_examples = N_TRAIN
    has_test = False

    def model(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), Block(4, 4, 1), Block(4, 6, 2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
        )  # fmt: skip

    def data(self) -> lrsearch.Data:
        return drawn(3, 6, 6)


class Transformer(Task):
    """Two encoder layers with attention, layer norm and dropout over 6 tokens of 8 numbers; label smoothing."""

    name = "transformer"
    train_examples = N_TRAIN
    has_test = False

    class Options(lrsearch.Options):
        """How much is dropped."""

        dropout: float = 0.2

    def model(self) -> nn.Module:
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=self.options.dropout, activation="gelu", batch_first=True)
        encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        return nn.Sequential(nn.Linear(8, 16), encoder, nn.Flatten(), nn.Linear(96, 4))

    def data(self) -> lrsearch.Data:
        return drawn(6, 8)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs, targets, label_smoothing=0.1)


class Recurrent(nn.Module):
    """An LSTM whose last output is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 12, batch_first=True)
        self.scores = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scores(self.lstm(x)[0][:, -1])


class Lstm(Task):
    """An LSTM over 6 tokens: it knows no lane axis."""

    name = "lstm"
    train_examples = N_TRAIN
    has_test = False

    def model(self) -> nn.Module:
        return Recurrent()

    def data(self) -> lrsearch.Data:
        return drawn(6, 8)


class Mlp(Task):
    """Fully connected with batch norm, dropout, sigmoid and tanh; measures a scalar and one number an example."""

    name = "mlp"
    train_examples = N_TRAIN
    has_test = False

    def model(self) -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), nn.Linear(48, 19), nn.BatchNorm1d(19), nn.Tanh(), nn.Dropout(0.4), nn.Linear(19, 7),
            nn.Sigmoid(), nn.Linear(7, 4),
        )  # fmt: skip

    def data(self) -> lrsearch.Data:
        return drawn(6, 8)

    def measure(self, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        return {**super().measure(outputs, targets), "spread": outputs.std()}


class Frozen(Task):
    """A layer that is not trained, a buffer that no state dict keeps and that is replaced, and tied weights."""

    name = "frozen"
    train_examples = N_TRAIN
    has_test = False

    def model(self) -> nn.Module:
        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.fixed = nn.Linear(48, 16).requires_grad_(False)
                self.a, self.b, self.out = (nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4))
                self.b.weight = self.a.weight
                self.register_buffer("count", torch.zeros(()), persistent=False)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                self.count = self.count + 1
                x = torch.relu(self.a(self.fixed(x.flatten(1))))
                return self.out(self.b(x)) + 0.01 * self.count

        return Model()

    def data(self) -> lrsearch.Data:
        return drawn(6, 8)


FUSABLE: Mapping[str, type[Task]] = {
    **{task.name: task for task in (ResNet, Transformer, Mlp, Frozen)},
    **{name: BUILT_IN[name] for name in ("synthetic-mlp", "mnist1d-cnn", "digits-cnn")},
}
"""Tasks whose models can be given a lane axis."""
ZOO: Mapping[str, type[Task]] = {**FUSABLE, Lstm.name: Lstm}
