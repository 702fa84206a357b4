"""The least-squares program: the recursion of ``tasks.least_squares`` in numpy, all lanes at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import InvalidInput
from ..schedules import FloatArray
from ..study import Sgd, TrainSpec
from .numerics import numpy_numerics
from .program import EpochRecord, State, check_state, divergence_bound, first_divergence
from .workload import Workload


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
        batch_size = workload.n_train if train.batch_size == "full" else min(train.batch_size or 1, workload.n_train)
        self._eigenvalues = np.asarray(workload.data.train[0], dtype=np.float64)
        self._noise = (1 / batch_size - 1 / workload.n_train) * self._eigenvalues**2
        self._z = (self._eigenvalues * workload.data.train[1])[None, :]
        self._first_loss = np.full(1, np.nan)
        self._update = 0
        self.n_lanes = 1

    def run_epoch(self, epoch: int, controls: FloatArray) -> list[EpochRecord]:
        """Train every lane for one interval; as the protocol."""
        began = time.perf_counter()
        rates = controls[:, :, 0]
        n_updates = rates.shape[1]
        losses = np.empty((self.n_lanes, n_updates + 1))
        norms = np.empty((self.n_lanes, n_updates))
        z = self._z
        with np.errstate(over="ignore", invalid="ignore"):
            for u in range(n_updates):
                rate = rates[:, u, None]
                total = z.sum(axis=1, keepdims=True)
                losses[:, u] = total[:, 0]
                norms[:, u] = (z * self._eigenvalues).sum(axis=1)
                z = (1 - rate * self._eigenvalues) ** 2 * z + rate**2 * self._noise * total
            losses[:, -1] = z.sum(axis=1)
            losses /= 2
            norms = np.sqrt(norms)
        if self._update == 0:
            self._first_loss = losses[:, 0].copy()
        self._update, self._z = self._update + n_updates, z
        seconds = (time.perf_counter() - began) / self.n_lanes
        return [
            EpochRecord(
                epoch,
                lr_first=float(rates[lane, 0]),
                lr_last=float(rates[lane, -1]),
                seconds=seconds,
                metrics={
                    "train_loss": float(losses[lane, :-1].mean()),
                    "val_loss": float(losses[lane, -1]),
                    "grad_norm": float(norms[lane].mean()),
                },
                divergence=self._divergence(lane, losses[lane], rates[lane]),
            )
            for lane in range(self.n_lanes)
        ]

    def _divergence(self, lane: int, losses: FloatArray, rates: FloatArray) -> tuple[int, float] | None:
        """Where a lane diverged; ``losses`` are those before every update of the interval, and the one after."""
        bound = divergence_bound(float(self._first_loss[lane]))
        first = self._update - len(rates)
        during = first_divergence(losses[:-1], rates, first, bound)
        return during or first_divergence(losses[-1:], rates[-1:], self._update - 1, bound)

    def fork(self, index: Sequence[int]) -> None:
        """Lane i becomes a copy of lane ``index[i]``."""
        self._z = self._z[list(index)]
        self._first_loss = self._first_loss[list(index)]
        self.n_lanes = len(index)

    def save(self, lane: int) -> State:
        """A copy of a lane's state."""
        return {"z": self._z[lane].copy(), "position": np.array([self._update, self._first_loss[lane]])}

    def load(self, lane: int, state: Mapping[str, np.ndarray]) -> None:
        """Give a lane a saved state; all lanes stand at the same update."""
        check_state(state, {"z": self._eigenvalues.shape, "position": (2,)})
        self._z = self._z.copy()
        self._z[lane] = state["z"]
        self._update = int(state["position"][0])
        self._first_loss[lane] = state["position"][1]

    def test(self, lane: int) -> dict[str, float]:
        """Nothing: there is no test data."""
        return {}

    @staticmethod
    def numerics(device: str | None = None) -> str:
        """What may change the last bits here."""
        return numpy_numerics()
