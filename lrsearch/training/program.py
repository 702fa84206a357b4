"""The seam of training: one compiled way to train trajectories of one recipe and seed."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, Self

import numpy as np
from pydantic_core import to_json

from ..errors import InvalidInput
from ..schedules import FloatArray
from ..study import Diagnostics, TrainSpec
from ..tasks.task import Task
from .workload import Workload

State = dict[str, np.ndarray]
"""A lane's whole state by name: weights, buffers, the optimiser's moments, the position."""
OPTIMIZER = "optimizer."
"""How the names of an optimiser's moments begin in a state."""

MODEL = "model."
"""How the names of a model's weights and buffers begin in a state."""
LIVE_PROGRAMS = 4
"""Programs full of lanes that a trainer has under way at most, each with its states and what its update computes."""
DIVERGENCE_FACTOR = 1e6
"""A training whose loss exceeds this many times max(1, its first loss) has diverged."""


@dataclass(frozen=True)
class EpochRecord:
    """One finished reporting interval of one trajectory.

    Attributes:
        epoch: the interval, from 1.
        lr_first: the first update's rate.
        lr_last: the last update's rate.
        seconds: wall-clock seconds of training and validation.
        metrics: ``train_*`` over the interval's batches as they were trained, ``val_*`` at its end, ``grad_norm`` the
            mean over its updates of the gradient's norm before clipping. NaN and infinity are possible.
        divergence: the first update (from 0) whose loss was not finite or beyond the bound, and its rate; None = fine.
        diagnostics: how it was trained, where that was looked at.
    """

    epoch: int
    lr_first: float
    lr_last: float
    seconds: float
    metrics: Mapping[str, float]
    divergence: tuple[int, float] | None = None
    diagnostics: Diagnostics | None = None

    @cached_property
    def text(self) -> str:
        """The record as one line of JSON, kept: every stored prefix of the trajectory, and of its forks, has it.

        JSON knows no NaN and no infinity: such a metric is its name as a string.
        """
        rates = (self.lr_first, self.lr_last)
        content = (self.epoch, *rates, self.seconds, dict(self.metrics), self.divergence, self.diagnostics)
        return to_json(content, inf_nan_mode="strings").decode()

    @classmethod
    def of(cls, content: Sequence[Any]) -> Self:
        """The record whose ``text`` was read as ``content``."""
        epoch, lr_first, lr_last, seconds, metrics, divergence, *looked = content
        values = {name: float(value) for name, value in metrics.items()}
        where = None if divergence is None else (int(divergence[0]), float(divergence[1]))
        diagnostics = Diagnostics.model_validate(looked[0]) if looked and looked[0] is not None else None
        return cls(epoch, float(lr_first), float(lr_last), float(seconds), values, where, diagnostics)


class OutOfMemory(Exception):
    """A program's lanes do not fit the device's memory.

    Raised by ``run_epoch``, ``fork`` and ``test``, all lanes being as they were before the call: ``save`` them, build
    programs of half as many lanes each, ``load`` them there and go on. A program that cannot promise that of
    ``run_epoch`` lets the device's own error pass; its lanes are lost.
    """


class Program(Protocol):
    """Trains lanes: trajectories of one recipe and seed, all at the same epoch.

    A new program has one lane, at its initial weights. What a lane becomes depends on the recipe, the numerics and
    its own controls only: not on its index, its neighbours or what was trained before.
    """

    n_lanes: int

    def __init__(self, workload: Workload, train: TrainSpec, seed: int, device: str | None = None) -> None:
        """Build the first lane.

        Raises:
            InvalidInput: the recipe asks for what this program cannot do.
        """

    def run_epoch(self, epoch: int, controls: FloatArray) -> list[EpochRecord]:
        """Train every lane for one interval.

        Args:
            epoch: the interval, from 1.
            controls: float64 of shape (lanes, updates, columns); column 0 is the learning rate, the others are
                ``schedules.Column``. Which of them there are is a lane's own affair, and all lanes have the same:
                how a program computes may depend on their number.

        Raises:
            InvalidInput: the controls ask for what this program or its optimiser cannot do.
        """

    def fork(self, index: Sequence[int]) -> None:
        """Lane i becomes a copy of lane ``index[i]``; sets ``n_lanes``."""

    def save(self, lane: int) -> State:
        """A copy of a lane's state, in C order on the processor."""

    def load(self, lane: int, state: Mapping[str, np.ndarray]) -> None:
        """Give a lane a saved state; one without an optimiser's moments begins its optimiser afresh.

        Raises:
            InvalidInput: names, shapes or types are not this program's, or other lanes stand at another update; the
                lane is left as it was.
        """

    def test(self, lane: int) -> dict[str, float]:
        """``test_*`` metrics of a lane's present state, which changes no lane; empty where there is no test data."""

    @staticmethod
    def numerics(device: str | None = None) -> str:
        """What may change the last bits here, as text."""


PROGRAMS: Mapping[str, str] = MappingProxyType(
    {"torch": "torch_program:TorchProgram", "least-squares": "least_squares:LeastSquaresProgram"}
)
"""The programs by ``Task.trained_by``; each is imported when it is needed, as torch takes a second."""


def program_class(task: Task) -> type[Program]:
    """The kind of program that trains ``task``."""
    module, _, name = PROGRAMS[task.trained_by].partition(":")
    kind: Any = getattr(importlib.import_module(f".{module}", __package__), name)
    return kind  # type: ignore[no-any-return]  # the table above says what it is


def first_divergence(
    losses: FloatArray, rates: FloatArray, first_update: int, bound: float
) -> tuple[int, float] | None:
    """The first update whose loss is not finite or above ``bound``, and its rate.

    Args:
        losses: each update's loss before it was applied, shape (updates,).
        rates: each update's rate, shape (updates,).
        first_update: the number of the first of them.
        bound: the largest loss that is no divergence.
    """
    fine = losses <= bound
    if fine.all():
        return None
    first = int(fine.argmin())
    return first_update + first, float(rates[first])


def divergence_bound(first_loss: float) -> float:
    """The largest loss that is no divergence, given the loss of update 0."""
    return DIVERGENCE_FACTOR * max(1.0, first_loss) if math.isfinite(first_loss) else DIVERGENCE_FACTOR


def check_state(state: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise InvalidInput unless ``state`` has exactly the names and shapes ``expected``."""
    if state.keys() != expected.keys():
        differing = sorted(state.keys() ^ expected.keys())
        raise InvalidInput(f"a state has exactly its program's arrays (differing: {', '.join(differing[:5])})")
    for name, shape in expected.items():
        if state[name].shape != shape:
            raise InvalidInput(f"`{name}` of a state must have shape {shape} (got {state[name].shape})")
