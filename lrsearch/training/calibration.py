"""Which kind of program trains a recipe here, and how many lanes at once."""

from __future__ import annotations

from dataclasses import dataclass

from ..study import TrainSpec
from .program import OutOfMemory, Program, program_class
from .workload import Workload

LANES = 64
"""Lanes of a program that nothing was measured of."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a recipe is trained on a device.

    Attributes:
        program: the kind of program; its ``numerics`` are part of every stored prefix's key.
        lanes: the most lanes of one program object.
        update_seconds: seconds of one update of the plain lone loop; None = not measured.
        note: why lanes are trained one after the other, for people to read; None where they are fused.
    """

    program: type[Program]
    lanes: int
    update_seconds: float | None = None
    note: str | None = None


def calibrated(workload: Workload, train: TrainSpec, seed: int, device: str | None = None) -> Choice:
    """The best way to train ``train`` on ``device``: the task's own program.

    Args:
        workload: the task and its data.
        train: the recipe, with optimiser and batch size.
        seed: a training seed; which one it is changes nothing.
        device: as a program's.
    """
    return Choice(program_class(workload.task), LANES)


__all__ = ["Choice", "OutOfMemory", "calibrated"]
