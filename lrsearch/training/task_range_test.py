"""A range test of a registered task, on a model of its own that nobody else sees."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..finder import swept
from ..schedules import FloatArray
from ..study import SweepLosses, SweepSpec, TrainSpec
from .program import program_class
from .workload import Workload


class _Lone(Protocol):
    """What every lone program can do besides: train without validation, and say each update's loss."""

    def losses(self, rates: FloatArray) -> FloatArray:
        """Train every lane for some updates; the loss before each, rates and losses of shape (lanes, updates)."""


def sweep_task(
    workload: Workload, train: TrainSpec, seed: int, sweep: SweepSpec, device: str | None = None
) -> SweepLosses:
    """Train a fresh model of the task with rising rates.

    Its updates see the batches and masks that any trial of this recipe and seed sees.

    Args:
        workload: the task and its data.
        train: the recipe, with optimiser and batch size.
        seed: the training seed.
        sweep: the rates.
        device: as a program's.
    """
    program: _Lone = program_class(workload.task)(workload, train, seed, device)  # type: ignore[assignment]  # above

    def losses(rate: float, n_updates: int) -> float:
        return float(program.losses(np.full((1, n_updates), rate)).mean())

    return swept(losses, sweep)
