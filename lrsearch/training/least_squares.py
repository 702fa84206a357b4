"""The least-squares program: the recursion of ``tasks.least_squares`` in numpy, all lanes at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import InvalidInput
from ..schedules import FloatArray
from ..study import Sgd, TrainSpec
from .numerics import numpy_numerics
from .position import Position
from .program import EpochRecord, State, check_state, divergence_bound, first_divergence
from .workload import Workload

NUMBERS_AT_ONCE = 1_000_000
"""About how many numbers are held for an interval's path."""


class LeastSquaresProgram:
    """As ``program.Program``, for the task ``least-squares``.

    A lane's state is ``z = l p``, of which the loss is half the sum::

        z <- (1 - lr l)^2 z + lr^2 (1/B - 1/N) l^2 sum(z)          loss = sum(z) / 2

    and the gradient's squared norm is ``sum(l z)``. Nothing is random, so the seed changes nothing.
    """

    def __init__(self, workload: Workload, train: TrainSpec, seed: int, device: str | None = None) -> None:
        if train.optimizer != Sgd():
            raise InvalidInput(
                "least-squares is the recursion of plain sgd: leave momentum and weight decay out "
                f"(got {train.optimizer!r:.200})"
            )
        if train.clip_norm is not None:
            raise InvalidInput(
                f"least-squares knows no gradients to clip: leave `clip_norm` out (got {train.clip_norm})"
            )
        if train.precision == "bfloat16":
            raise InvalidInput("least-squares is computed in float64: leave `precision` out (got bfloat16)")
        batch_size = workload.n_train if train.batch_size == "full" else min(train.batch_size or 1, workload.n_train)
        self._eigenvalues = np.asarray(workload.data.train[0], dtype=np.float64)
        self._noise = (1 / batch_size - 1 / workload.n_train) * self._eigenvalues**2
        self._z = (self._eigenvalues * workload.data.train[1])[None, :]
        self._first_loss = np.full(1, np.nan)
        self._position = Position()
        self.n_lanes = 1

    def run_epoch(self, epoch: int, controls: FloatArray) -> list[EpochRecord]:
        """Train every lane for one interval; as the protocol."""
        began = time.perf_counter()
        if controls.shape[2] > 1:
            raise InvalidInput(
                "least-squares has one optimiser without momentum, and no depth groups: only the rate moves"
            )
        rates = controls[:, :, 0]
        with np.errstate(over="ignore", invalid="ignore"):
            losses, norms = self._trained(rates)
            train_losses, grad_norms = losses[:, :-1].mean(axis=1).tolist(), norms.mean(axis=1).tolist()
        if self._position.update == 0:
            self._first_loss = losses[:, 0].copy()
        self._position.advance(rates.shape[1], self.n_lanes)
        seconds = (time.perf_counter() - began) / self.n_lanes
        return [
            EpochRecord(
                epoch,
                lr_first=float(rates[lane, 0]),
                lr_last=float(rates[lane, -1]),
                seconds=seconds,
                metrics={
                    "train_loss": train_losses[lane],
                    "val_loss": float(losses[lane, -1]),
                    "grad_norm": grad_norms[lane],
                },
                divergence=self._divergence(lane, losses[lane], rates[lane]),
            )
            for lane in range(self.n_lanes)
        ]

    def losses(self, rates: FloatArray) -> FloatArray:
        """Train every lane for some updates; the loss before each, rates and losses of shape (lanes, updates)."""
        with np.errstate(over="ignore", invalid="ignore"):
            losses, _ = self._trained(rates)
        self._position.advance(rates.shape[1], self.n_lanes)
        return losses[:, :-1]

    def _trained(self, rates: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Advance ``z``; the losses before every update and after the last, and the gradient norms: a row a lane."""
        n_updates, eigenvalues = rates.shape[1], self._eigenvalues
        at_once = max(1, NUMBERS_AT_ONCE // self._z.size)
        losses, norms = [], []
        for first in range(0, n_updates, at_once):
            rate = rates[:, first : first + at_once].T[:, :, None]
            kept, noise = (1 - rate * eigenvalues) ** 2, rate**2 * self._noise
            path = np.empty((len(rate) + 1, *self._z.shape))
            path[0] = self._z
            for before, after, keeps, adds in zip(path, path[1:], kept, noise, strict=False):
                total = np.add.reduce(before, axis=1, keepdims=True)
                np.add(np.multiply(before, keeps, out=after), adds * total, out=after)
            losses.append(path[:-1].sum(axis=2) / 2)
            norms.append(np.sqrt((path[:-1] * eigenvalues).sum(axis=2)))
            self._z = path[-1].copy()
        losses.append(self._z.sum(axis=1)[None] / 2)
        # rows in one piece: a sum's order, hence its last bit, must not depend on how many lanes there are
        return np.ascontiguousarray(np.concatenate(losses).T), np.ascontiguousarray(np.concatenate(norms).T)

    def _divergence(self, lane: int, losses: FloatArray, rates: FloatArray) -> tuple[int, float] | None:
        """Where a lane diverged; the loss after the interval's last update counts as that update's."""
        bound = divergence_bound(float(self._first_loss[lane]))
        found = first_divergence(losses, np.append(rates, rates[-1]), self._position.update - len(rates), bound)
        return None if found is None else (min(found[0], self._position.update - 1), found[1])

    def fork(self, index: Sequence[int]) -> None:
        """Lane i becomes a copy of lane ``index[i]``."""
        self._z = self._z[list(index)]
        self._position.fork(index)
        self._first_loss = self._first_loss[list(index)]
        self.n_lanes = len(index)

    def save(self, lane: int) -> State:
        """A copy of a lane's state."""
        return {"z": self._z[lane].copy(), "position": np.array([self._position.update, self._first_loss[lane]])}

    def load(self, lane: int, state: Mapping[str, np.ndarray]) -> None:
        """Give a lane a saved state; all lanes stand at the same update."""
        check_state(state, {"z": self._eigenvalues.shape, "position": (2,)})
        self._position.check(lane, int(state["position"][0]))
        self._z = self._z.copy()
        self._z[lane] = state["z"]
        self._position.load(lane, int(state["position"][0]))
        self._first_loss[lane] = state["position"][1]

    def test(self, lane: int) -> dict[str, float]:
        """Nothing: there is no test data."""
        return {}

    @staticmethod
    def numerics(device: str | None = None) -> str:
        """What may change the last bits here."""
        return numpy_numerics()
