"""Which kind of program trains a recipe here, and how many lanes at once: measured, and remembered."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass
from functools import partial

from ..study import TrainSpec
from .numerics import CONVOLUTIONS_BY_PRODUCTS, FUSED_PROGRAM, IN_TURN_PROGRAM
from .program import OutOfMemory, Program, program_class
from .remembered import Remembered
from .workload import Workload

ASKED = 5
"""Raise the number when more is asked of a task before it is trained in company: what is remembered was asked less."""
LANES = 64
"""Lanes of a program that is not fused."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """How a recipe is trained on a device.

    Attributes:
        program: the kind of program; its ``numerics`` are part of every stored prefix's key.
        lanes: the most lanes of one program object.
        update_seconds: seconds of one update of a plain loop; None = not measured.
        note: what people should know of it, said of the task: why its lanes are trained one after the other, or that
            its last bits are not repeated here. None = nothing.
    """

    program: type[Program]
    lanes: int
    update_seconds: float | None = None
    note: str | None = None


_known: dict[str, Choice] = {}
_measuring = threading.Lock()


def calibrated(workload: Workload, train: TrainSpec, seed: int, device: str | None = None) -> Choice:
    """The fastest way to train ``train`` on ``device``, measured once a machine; once a process where memory is short.

    Fused programs are chosen only where a lane trained with few others has the very bits it has among many.

    Args:
        workload: the task and its data.
        train: the recipe, with optimiser and batch size.
        seed: a training seed; which one it is changes nothing once something is remembered.
        device: as a program's.

    Raises:
        InvalidInput: as the task's own program.
        Exception: whatever the task's own code raises.
    """
    lone = program_class(workload.task)
    if workload.task.trained_by != "torch":
        return Choice(lone, LANES)
    with _measuring:
        key = _key(lone, workload, train, device)
        if key not in _known:
            _known[key] = choice = _found(key, workload, train, seed, device)
            if choice.note is not None:
                logger.warning("task %s %s", workload.task.name, choice.note)
        return _known[key]


def _key(lone: type[Program], workload: Workload, train: TrainSpec, device: str | None) -> str:
    """The recipe without its seeds, the task as it is, and where it is trained with what."""
    recipe = train.model_dump(mode="json", exclude={"seed", "seeds"})
    fingerprint = workload.prepared(("fingerprint", 0), lambda: workload.fingerprint(0))
    return json.dumps(
        [
            *(recipe, fingerprint, lone.numerics(device)),
            *(FUSED_PROGRAM, CONVOLUTIONS_BY_PRODUCTS, IN_TURN_PROGRAM, ASKED),
        ],
        sort_keys=True,
    )


def _found(key: str, workload: Workload, train: TrainSpec, seed: int, device: str | None) -> Choice:
    from .device import chosen_device
    from .fused_program import FUSED, fused_kinds
    from .in_turn import InTurn
    from .measurement import IN_TURN, Measured, measured
    from .torch_lane import convolves
    from .torch_program import TorchProgram

    lone = program_class(workload.task)
    remembered = Remembered(key, Measured)
    found = remembered.read()
    if found is None:
        given = (workload, train, seed, device)
        where = chosen_device(device, train.precision)
        kinds = fused_kinds(where, convolves=convolves(workload.task))
        companies = {kind: partial(FUSED[kind], *given) for kind in kinds}
        with remembered.alone():  # workers that begin together must not disturb each other, nor choose differently
            found = remembered.read()
            if found is None:
                turns = partial(InTurn, *given) if where.type == "cpu" else None
                found = measured(partial(TorchProgram, *given), companies, where, turns)
                if found.lasting:
                    remembered.write(found)
    if found.kind == IN_TURN:
        return Choice(InTurn, found.lanes, found.plain_seconds, f"trains lane by lane: {found.note}")
    if found.lanes > 1:
        return Choice(FUSED[found.kind], found.lanes, found.plain_seconds, found.note)
    return Choice(lone, LANES, found.plain_seconds, f"trains lane by lane: {found.note}")


__all__ = ["Choice", "OutOfMemory", "calibrated"]
