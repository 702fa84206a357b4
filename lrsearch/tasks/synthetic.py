"""A made-up task that trains in a moment: is the sum of twenty numbers above ten?"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..study import TaskDefaults
from .draw import uniform
from .task import Data, Pair, Task

if TYPE_CHECKING:
    import torch
    from torch import nn

N_TRAIN, N_INPUTS = 1000, 20


def drawn(n: int, stream: int) -> Pair:
    """``n`` examples: 20 uniform inputs, float32; the target is 1 where their sum is above 10, else 0."""
    inputs = uniform(n * N_INPUTS, stream).reshape(n, N_INPUTS).astype(np.float32)
    return inputs, (inputs.sum(axis=1, dtype=np.float64) > N_INPUTS / 2).astype(np.float32)


@lru_cache(maxsize=1)
def synthetic() -> Data:
    """1,000 training, 200 validation and 200 test examples, drawn separately."""
    return Data(train=drawn(N_TRAIN, 1), val=drawn(200, 2), test=drawn(200, 3))


class SyntheticMlp(Task):
    """Whether 20 uniform numbers add up to more than 10 (1,000 for training), fully connected 20-64-32-1."""

    name = "synthetic-mlp"
    train_examples = N_TRAIN
    has_test = True
    defaults = TaskDefaults(optimizer="adam", batch_size=64, initial_lr={"low": 1e-3, "high": 1e-1, "log": True})

    def model(self) -> nn.Module:
        """20-64-32-1 with ReLU; one logit."""
        from torch import nn

        return nn.Sequential(
            nn.Linear(N_INPUTS, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0)
        )

    def data(self) -> Data:
        """As ``synthetic``."""
        return synthetic()

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Binary cross entropy with logits."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(outputs, targets)

    def measure(self, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        """Whether each sign is right."""
        return {"accuracy": (outputs > 0) == (targets > 0.5)}
