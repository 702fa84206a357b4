"""Phases: which optimiser a trajectory is trained by, and since when."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..schedules import OWN, SWITCHES, Column, FloatArray
from ..study import OPTIMIZERS, TrainSpec
from .program import OPTIMIZER, State

HAS_MOMENTUM = 0.9
"""What an optimiser is made with so that it keeps a momentum buffer; the controls say how much of it counts."""


class Phase(NamedTuple):
    """The optimiser in force. It begins afresh with its phase, so lanes of one program are in the same one.

    Attributes:
        optimizer: 0 = the recipe's, n = the n-th of ``schedules.SWITCHES``.
        since: epochs that were done when it took over.
        momentum: whether the controls gave it momentum.
    """

    optimizer: int = 0
    since: int = 0
    momentum: bool = False

    def next(self, epoch: int, controls: FloatArray) -> Phase:
        """The phase of interval ``epoch``, from 1, that has these controls; ``self`` is the one before's."""
        row = controls[0]
        optimizer = int(row[Column.OPTIMIZER]) if len(row) > Column.OPTIMIZER else 0
        if optimizer == self.optimizer:
            return self
        return Phase(optimizer, epoch - 1, bool(row[Column.MOMENTUM] != OWN))

    def recipe(self, train: TrainSpec) -> TrainSpec:
        """The recipe with the optimiser in force: its defaults, and the weight decay of the recipe's."""
        if not self.optimizer:
            return train
        assert train.optimizer is not None
        kind = OPTIMIZERS[SWITCHES[self.optimizer - 1]]
        settings = {"weight_decay": train.optimizer.weight_decay}
        if self.momentum and "momentum" in kind.model_fields:
            settings["momentum"] = HAS_MOMENTUM
        return train.model_copy(update={"optimizer": kind.model_validate(settings)})


def without_moments(state: State) -> State:
    """A lane's state as a fresh optimiser takes it over."""
    return {name: np.asarray(array) for name, array in state.items() if not name.startswith(OPTIMIZER)}
