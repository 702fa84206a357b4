"""Which updates are looked at, and an interval's losses cut into pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ..schedules import FloatArray
from ..study.diagnosis import Diagnostics, LayerSigns

SPACING, MOST = 32, 8
"""One update in so many is looked at, and at most so many an interval, apart from the first ones."""
SHORTEST = 16
"""Updates of a piece, and of an interval that is told though none of its updates was looked at."""
DIGITS = 4
SIGNS = len(LayerSigns._fields)


def sampled_updates(first: int, n: int) -> list[int]:
    """The updates of an interval whose weights are looked at, a function of their numbers alone.

    Updates 0, 1, 2, 4, 8, ..., and every 32nd; of intervals of more than 256 updates, eight evenly spaced.
    """
    end = first + n
    powers = (1 << exponent for exponent in range(end.bit_length()))
    found = {update for update in (0, *powers) if first <= update < end}
    if n <= MOST * SPACING:
        found |= {update for update in range(first, end) if update % SPACING == SPACING - 1}
    else:
        found |= {first + n * (piece + 1) // MOST - 1 for piece in range(MOST)}
    return sorted(found)


@dataclass(frozen=True)
class Measured:
    """What was measured of some lanes in one interval: a row a lane.

    Attributes:
        first: the interval's first update.
        rates: each update's rate, shape (lanes, updates), as are ``losses`` and ``grad_norms``.
        losses: each batch's loss.
        grad_norms: each update's gradient norm before clipping.
        sampled: the updates whose weights were looked at.
        ratios: update-to-weight ratio of all weights, shape (lanes, samples).
        layers: ``LayerSigns`` by name, shape (lanes, samples, 4).
    """

    first: int
    rates: FloatArray
    losses: FloatArray
    grad_norms: FloatArray
    sampled: Sequence[int]
    ratios: FloatArray
    layers: Mapping[str, FloatArray]

    def of(self, lane: int) -> Self:
        """One lane alone."""
        row = slice(lane, lane + 1)
        return replace(
            self,
            rates=self.rates[row],
            losses=self.losses[row],
            grad_norms=self.grad_norms[row],
            ratios=self.ratios[row],
            layers={name: values[row] for name, values in self.layers.items()},
        )


def diagnostics(measured: Measured, divergences: Sequence[tuple[int, float] | None]) -> list[Diagnostics | None]:
    """Every lane's diagnostics of an interval; None where nothing of it was looked at.

    Args:
        measured: all of them.
        divergences: where each lane diverged; the updates before it are shown finer.
    """
    first, n = measured.first, measured.losses.shape[1]
    ends = [update + 1 - first for update in measured.sampled]
    made: list[Diagnostics | None] = [None] * len(divergences)
    if ends or n >= SHORTEST:
        made = _told(measured, ends, n)
    for lane, divergence in enumerate(divergences):
        if divergence is not None:
            at = divergence[0] - first
            finer = sorted({*ends, *(at + offset for offset in (-8, -4, -2, -1, 0, 1) if 0 < at + offset <= n)})
            [made[lane]] = _told(measured.of(lane), finer, at)
    return made


def _told(measured: Measured, ends: list[int], calm: int) -> list[Diagnostics | None]:
    """All lanes cut into the same pieces; layers are means over the samples before the interval's update ``calm``."""
    first, n = measured.first, measured.losses.shape[1]
    ends = [*ends[:-1], n] if ends and n - ends[-1] < SHORTEST else [*ends, n]
    starts = [0, *ends[:-1]]
    before = sum(update - first < calm for update in measured.sampled) or 1
    with np.errstate(all="ignore"):
        medians = [np.median(measured.losses[:, a:b], axis=1) for a, b in zip(starts, ends, strict=True)]
        columns = [
            np.stack(medians, axis=1),
            np.maximum.reduceat(measured.losses, starts, axis=1),
            np.maximum.reduceat(measured.grad_norms, starts, axis=1),
            measured.rates[:, [end - 1 for end in ends]],
            measured.ratios,
        ]
    loss, loss_max, grad_norm, lr, ratio = (_plain(rounded(column)) for column in columns)
    layers = _layers(measured, slice(0, before))
    start = _layers(measured, slice(0, 1)) if measured.layers and 0 in measured.sampled else [None] * len(loss)
    updates, sampled = tuple(first + end for end in ends), tuple(update + 1 for update in measured.sampled)
    return [
        Diagnostics.model_construct(
            updates=updates,
            loss=loss[lane],
            loss_max=loss_max[lane],
            grad_norm=grad_norm[lane],
            lr=lr[lane],
            sampled=sampled,
            update_ratio=ratio[lane],
            layers=layers[lane],
            start=start[lane],
        )
        for lane in range(len(loss))
    ]


def _layers(measured: Measured, samples: slice) -> list[dict[str, LayerSigns]]:
    """Every lane's layers, means over some samples."""
    if not (measured.layers and measured.sampled):
        return [{} for _ in measured.losses]
    with np.errstate(all="ignore"):
        means = rounded(np.stack(list(measured.layers.values()), axis=1)[:, :, samples].mean(axis=2))
    names = list(measured.layers)
    of_sign = (_plain(means[:, :, sign]) for sign in range(SIGNS))
    return [
        {name: LayerSigns(*signs) for name, *signs in zip(names, *of_lane, strict=True)}
        for of_lane in zip(*of_sign, strict=True)
    ]


def _plain(values: FloatArray) -> list[tuple[float | None, ...]]:
    """A row a lane; what was not finite is None."""
    rows = map(tuple, values.tolist())
    if np.isfinite(values).all():
        return list(rows)
    return [tuple(number if number - number == 0 else None for number in row) for row in rows]


def rounded(values: FloatArray) -> FloatArray:
    """``values`` to four significant digits, in float64."""
    values = np.asarray(values, dtype=np.float64)
    with np.errstate(all="ignore"):
        exponent = np.floor(np.log10(np.abs(values)))
        shift = np.where(np.isfinite(exponent), DIGITS - 1 - exponent, 0.0)
        small = np.abs(shift) > 300
        scaled = np.round(values * 10.0 ** np.clip(shift, -300, 300)) / 10.0 ** np.clip(shift, -300, 300)
    return np.where(small | ~np.isfinite(values), values, scaled)
