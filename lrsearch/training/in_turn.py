"""The program whose lanes take turns: one after the other, update by update.

On a processor large convolutions and products fill the caches with one lane's numbers: together, lanes take longer than
alone. In turn they still share what is the same for all of them: dropout's masks are drawn once an update, and one tape
serves all (``tape``), which goes through no Python of the model's and no autograd.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np
import torch

from ..schedules import FloatArray
from ..study import TrainSpec
from .device import Reseed
from .failures import memory_errors
from .fused_program import FusedProgram
from .interval import Interval
from .lanes_model import OneLaneModel
from .numerics import IN_TURN_PROGRAM
from .program import EpochRecord, State
from .workload import Workload


class OneLane(FusedProgram):
    """A fused program that never has more than one row, and no vmap."""

    version = IN_TURN_PROGRAM
    model_kind = OneLaneModel
    evaluated_at_once = 125
    shares_draws = True

    def _rows(self, index: Sequence[int], *, lasting: bool = False) -> torch.Tensor:  # it is one
        return torch.tensor(index, device=self._setting.device)

    def reseed_validation(self, reseed: Reseed, controls: FloatArray) -> None:
        """Start the generators for what models draw while an interval is validated, wherever others have left them."""
        reseed(self._seed, self._position.update + controls.shape[1])


class InTurn:
    """As ``program.Program``, for models of torch that know no second lane while they are called.

    Args:
        workload: the task and its data.
        train: the recipe, with optimiser and batch size.
        seed: weights, data order and dropout masks are drawn from it.
        device: ``"cpu"``, ...; None = the best one here.

    Raises:
        InvalidInput: as ``FusedProgram``.
    """

    def __init__(self, workload: Workload, train: TrainSpec, seed: int, device: str | None = None) -> None:
        self._given = workload, train, seed, device
        self._lanes = [OneLane(*self._given)]
        self.n_lanes = 1

    def run_epoch(self, epoch: int, controls: FloatArray) -> list[EpochRecord]:
        """Train every lane for one interval; as the protocol.

        Raises:
            OutOfMemory: no lane has changed.
        """
        began = time.perf_counter()
        own = [controls[i : i + 1] for i in range(len(controls))]
        records: list[EpochRecord] = []
        with ExitStack() as stack:
            reseed = stack.enter_context(self._lanes[0].vectorised())
            for lane in self._lanes:
                stack.enter_context(lane.undone())
            intervals = [Interval(lane.probe(its)) for lane, its in zip(self._lanes, own, strict=True)]
            given = list(zip(self._lanes, own, intervals, strict=True))
            for _ in zip(*(lane.updates(its, reseed, interval) for lane, its, interval in given), strict=True):
                pass
            seconds = (time.perf_counter() - began) / self.n_lanes
            for lane, its, interval in given:
                lane.reseed_validation(reseed, its)
                records += lane.recorded(epoch, its, interval, began=time.perf_counter() - seconds)
        for lane, its in zip(self._lanes, own, strict=True):
            lane.moved(its)
        return records

    def train_only(self, rates: FloatArray) -> None:
        """Train every lane for some updates, of which nothing is recorded; rates of shape (lanes, updates)."""
        own = [rates[i : i + 1, :, None] for i in range(len(rates))]
        with self._lanes[0].vectorised() as reseed, memory_errors():
            turns = [lane.updates(its, reseed, Interval()) for lane, its in zip(self._lanes, own, strict=True)]
            for _ in zip(*turns, strict=True):
                pass
        for lane, its in zip(self._lanes, own, strict=True):
            lane.moved(its)

    def fork(self, index: Sequence[int]) -> None:
        """Lane i becomes a copy of lane ``index[i]``.

        Raises:
            OutOfMemory: no lane has changed.
        """
        lanes: list[OneLane] = []
        with memory_errors():
            for i in index:
                lane = self._lanes[i]
                if lane in lanes:
                    lane = OneLane(*self._given)
                    lane.load(0, self._lanes[i].save(0))
                lanes.append(lane)
        self._lanes, self.n_lanes = lanes, len(lanes)

    def save(self, lane: int) -> State:
        """A copy of a lane's state."""
        return self._lanes[lane].save(0)

    def load(self, lane: int, state: Mapping[str, np.ndarray]) -> None:
        """Give a lane a saved state; lanes may stand at different updates.

        Raises:
            InvalidInput: it was saved by another model or optimiser; nothing is changed.
        """
        self._lanes[lane].load(0, state)

    def test(self, lane: int) -> dict[str, float]:
        """``test_*`` metrics of a lane's present state; no lane changes.

        Raises:
            OutOfMemory: no lane has changed.
        """
        return self._lanes[lane].test(0)

    @staticmethod
    def numerics(device: str | None = None) -> str:
        """What may change the last bits here."""
        return OneLane.numerics(device)
