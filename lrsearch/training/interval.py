"""One interval's measurements: on the device while it trains, numbers and records when it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch

from ..diagnosis.pieces import Measured, diagnostics
from ..schedules import FloatArray
from ..study import Diagnostics
from .probe import Probe
from .program import EpochRecord, divergence_bound, first_divergence

Values = Mapping[str, torch.Tensor]


class Tally:
    """Sums over examples, added batch by batch without waiting for the device; one a lane, or one in all.

    Values have shape () for a lone lane, (rows,) for many.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[torch.Tensor]] = {}
        self.sizes: list[int] = []

    def add(self, n_examples: int, values: Values) -> None:
        """What was measured of one batch."""
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)
        self.sizes.append(n_examples)

    def numbers(self, n_lanes: int) -> dict[str, FloatArray]:
        """float64 of shape (lanes, batches); waits for the device."""
        # rows in one piece: a sum's order, hence its last bit, must not depend on how many lanes there are
        return {
            name: np.ascontiguousarray(torch.stack(values).cpu().double().numpy().reshape(len(values), -1).T[:n_lanes])
            for name, values in self._values.items()
        }

    def means(self, n_lanes: int) -> dict[str, FloatArray]:
        """The mean over all examples of every value, shape (lanes,)."""
        return {name: sums.sum(axis=1) / sum(self.sizes) for name, sums in self.numbers(n_lanes).items()}


class Interval(Tally):
    """The updates of one interval: ``loss`` is a batch's mean, ``grad_norm`` the gradient's, all others are sums.

    Args:
        probe: what looked at some of its updates.
    """

    def __init__(self, probe: Probe | None = None) -> None:
        super().__init__()
        self.probe = probe

    def records(
        self,
        epoch: int,
        first: int,
        rates: FloatArray,
        val: Mapping[str, FloatArray],
        first_losses: FloatArray,
        *,
        began: float,
    ) -> list[EpochRecord]:
        """The interval's records.

        Args:
            epoch: the interval, from 1.
            first: the number of its first update.
            rates: shape (lanes, updates).
            val: ``val_*`` metrics of every lane, shape (lanes,).
            first_losses: the loss of update 0, shape (lanes,); filled in where ``first`` is 0.
            began: ``time.perf_counter()`` of its beginning; a lane's seconds are its part of what has passed.
        """
        numbers = self.numbers(len(rates))
        losses, grad_norms = numbers.pop("loss"), numbers.pop("grad_norm")
        if first == 0:
            first_losses[:] = losses[:, 0]
        metrics = {"train_loss": np.average(losses, axis=1, weights=self.sizes)}
        metrics |= {f"train_{name}": sums.sum(axis=1) / sum(self.sizes) for name, sums in numbers.items()}
        metrics |= {**val, "grad_norm": grad_norms.mean(axis=1)}
        divergences = []
        for lane, own in enumerate(rates):
            divergence = first_divergence(losses[lane], own, first, divergence_bound(float(first_losses[lane])))
            if divergence is None and not np.isfinite(metrics["val_loss"][lane]):
                divergence = first + len(own) - 1, float(own[-1])
            divergences.append(divergence)
        looked: list[Diagnostics | None] = [None] * len(rates)
        if self.probe is not None:
            found = self.probe.numbers(len(rates))
            measured = Measured(first, rates, losses, grad_norms, self.probe.sampled, *found)
            looked = diagnostics(measured, divergences)
        seconds = (time.perf_counter() - began) / len(rates)
        return [
            EpochRecord(
                epoch,
                float(own[0]),
                float(own[-1]),
                seconds,
                {name: float(value[lane]) for name, value in metrics.items()},
                divergences[lane],
                looked[lane],
            )
            for lane, own in enumerate(rates)
        ]
