"""A training's records as arrays, whoever wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from ..errors import InvalidInput
from ..frozen import Frozen, Natural
from ..schedules import FloatArray
from ..study import Divergence, LayerSigns, Metric, Point
from ..study.diagnosis import Layers

SINGLE, GROUPED = 16, 80
"""Of records of single updates the first ones stand for themselves, the others in at most so many groups."""
SIGNS = len(LayerSigns._fields)
SMALLEST = 1e-12
"""Losses below it count as it."""
NORM = LayerSigns._fields.index("norm")


class Step(Frozen):
    """One update of anybody's loop. Null or NaN = was not finite; absent = not measured."""

    update: Natural
    """From 0."""
    loss: Metric
    """The batch's loss before the update."""
    lr: Metric = None
    grad_norm: Metric = None
    update_ratio: Metric = None
    """The norm of what the update changed over the norm of the weights."""
    layers: Layers = {}


@dataclass(frozen=True, eq=False)
class Trace:
    """What happened before a training diverged, if it did; NaN where something was not measured.

    Attributes:
        updates: finished updates (or epochs, where records count those alone) at the end of every piece, rising.
        loss: a piece's median training loss; ``loss_max``: the largest.
        grad_norm: a piece's largest gradient norm.
        lr: its last rate.
        ratios: update-to-weight ratios of single updates, in order.
        layers: names, from the input's layer to the output's.
        signs: ``LayerSigns`` of every interval, shape (intervals, layers, 4); the first row is update 0 if ``started``.
        started: whether the layers were looked at in update 0.
        epochs: training and validation loss of every epoch, shape (epochs, 2).
        divergence: the update, its rate, and whether all numbers were still finite there.
        horizon: updates (or epochs) that were planned.
        in_updates: whether all this counts updates.
    """

    updates: FloatArray
    loss: FloatArray
    loss_max: FloatArray
    grad_norm: FloatArray
    lr: FloatArray
    ratios: FloatArray
    layers: tuple[str, ...]
    signs: FloatArray
    started: bool
    epochs: FloatArray
    divergence: tuple[float, float, bool] | None
    horizon: float
    in_updates: bool

    @cached_property
    def floor(self) -> float:
        """What losses are measured from: 0, or the lowest where that is negative."""
        return float(min(0.0, np.min(self.loss, initial=0.0)))

    @cached_property
    def first(self) -> float:
        """The loss at the beginning, above the floor; NaN if there was none."""
        return max(float(self.loss[0]) - self.floor, SMALLEST) if len(self.loss) else float("nan")

    @cached_property
    def peak_rate(self) -> float:
        """The highest rate; NaN where none was told."""
        rates = self.lr[np.isfinite(self.lr)]
        return float(rates.max()) if len(rates) else float("nan")

    @cached_property
    def end(self) -> float:
        """The loss of the last fifth, its median, above the floor."""
        return self.between(0.8, 1.0)

    def between(self, start: float, end: float) -> float:
        """The median loss above the floor between two shares of what was trained; at least of one piece."""
        if not len(self.loss):
            return float("nan")
        last = self.updates[-1]
        inside = (self.updates > start * last) & (self.updates <= end * last)
        chosen = self.loss[inside] if inside.any() else self.loss[[int(np.argmax(self.updates >= end * last))]]
        return float(np.median(chosen)) - self.floor

    @cached_property
    def ratio(self) -> float:
        """The update-to-weight ratio in the middle of the training; NaN where it was not measured."""
        return float(np.median(self.ratios)) if len(self.ratios) else float("nan")

    @cached_property
    def usual_signs(self) -> FloatArray:
        """Every layer's signs in the middle of its intervals, shape (layers, 4)."""
        return np.median(self.signs, axis=0) if len(self.signs) else np.empty((0, SIGNS))


def trace_of(
    records: Iterable[Point | Mapping[str, Any]],
    *,
    diverged_at: Divergence | None = None,
    horizon: int | None = None,
) -> Trace:
    """Records as arrays.

    Args:
        records: points of a curve (of one seed), or a mapping for every update as ``Step``; in their order.
        diverged_at: where the training diverged; by default the first loss that is not finite.
        horizon: updates that were planned; by default those of the records.

    Raises:
        InvalidInput: there are none, or one is neither a point nor a step.
    """
    given = list(records)
    if not given:
        raise InvalidInput("a diagnosis needs at least one record")
    if all(isinstance(record, Point) or "metrics" in record for record in given):
        points = [record if isinstance(record, Point) else Point.read(record) for record in given]
        rows = _Rows.of_points(points)
    else:
        rows = _Rows.of_steps([Step.read(record) for record in given if not isinstance(record, Point)])
    return rows.trace(diverged_at, horizon)


class _Rows:
    """Pieces in their order, with what is measured of single updates beside them."""

    def __init__(self) -> None:
        self.pieces: list[tuple[float, ...]] = []
        self.ratios: list[tuple[float, float]] = []
        self.layers: list[tuple[float, Mapping[str, LayerSigns]]] = []
        self.start: Mapping[str, LayerSigns] | None = None
        self.epochs: list[tuple[float, float]] = []
        self.in_updates = True

    @classmethod
    def of_points(cls, points: Sequence[Point]) -> Self:
        rows = cls()
        rows.in_updates = any(point.diagnostics is not None or point.update is not None for point in points)
        for number, point in enumerate(points, 1):
            its = point.diagnostics
            train, val = (_number(point.metrics.get(name)) for name in ("train_loss", "val_loss"))
            rows.epochs.append((train, val))
            loss = val if np.isnan(train) and "train_loss" not in point.metrics else train
            if its is None:
                at = point.update if rows.in_updates else point.epoch or number
                norm = _number(point.metrics.get("grad_norm"))
                if at is not None:
                    rows.pieces.append((at, loss, loss, norm, _number(point.lr_last)))
                continue
            rows.pieces += zip(
                its.updates, *(map(_number, values) for values in (its.loss, its.loss_max, its.grad_norm, its.lr)),
                strict=True,
            )  # fmt: skip
            rows.ratios += zip(its.sampled, map(_number, its.update_ratio), strict=True)
            if its.layers:
                rows.layers.append((its.updates[-1], its.layers))
            rows.start = its.start or rows.start
        return rows

    @classmethod
    def of_steps(cls, steps: Sequence[Step]) -> Self:
        rows = cls()
        steps = sorted(steps, key=lambda step: step.update)
        rows.ratios = [(s.update + 1, _number(s.update_ratio)) for s in steps if s.update_ratio is not None]
        rows.layers = [(s.update + 1, s.layers) for s in steps if s.layers]
        rows.start = next((s.layers for s in steps if s.layers and s.update == 0), None)
        # what comes after the last finite loss stands by itself, so that it is seen where it began
        losses = np.array([_number(step.loss) for step in steps])
        lost = int(np.argmin(np.isfinite(losses))) if not np.isfinite(losses).all() else len(steps)
        size = max(1, -(-(len(steps) - SINGLE) // GROUPED))
        edges = sorted({*range(min(SINGLE, len(steps))), *range(SINGLE, len(steps), size), max(lost - 8, 0), lost})
        edges = [edge for edge in edges if edge < len(steps)]
        for a, b in zip(edges, [*edges[1:], len(steps)], strict=True):
            norms = np.array([_number(step.grad_norm) for step in steps[a:b]])
            last = steps[b - 1]
            with np.errstate(all="ignore"):
                rows.pieces.append(
                    (last.update + 1, np.median(losses[a:b]), losses[a:b].max(), norms.max(), _number(last.lr))
                )
        return rows

    def trace(self, diverged_at: Divergence | None, horizon: int | None) -> Trace:
        pieces = np.array(self.pieces, dtype=np.float64).reshape(-1, 5)
        lost = ~np.isfinite(pieces[:, 2]) & ~np.isfinite(pieces[:, 1])
        divergence = None
        if diverged_at is not None:
            at = diverged_at.update if self.in_updates else len(pieces) - 1
            beyond = pieces[pieces[:, 0] > at]
            finite = bool(len(beyond) and np.isfinite(beyond[0, 1]))
            divergence = (float(at), _number(diverged_at.lr), finite)
        elif lost.any():
            first = int(lost.argmax())
            start = pieces[first - 1, 0] if first else 0.0
            divergence = (float(start), float(pieces[first, 4]), False)
        until = np.inf if divergence is None else divergence[0]
        kept = pieces[(pieces[:, 0] <= until) & np.isfinite(pieces[:, 1])]
        names = tuple(next((layers for _, layers in self.layers), {}))
        rows = [layers for end, layers in self.layers if tuple(layers) == names]
        if self.start is not None and tuple(self.start) == names:
            rows = [self.start, *rows]
        signs = np.array([[list(map(_number, its)) for its in layers.values()] for layers in rows], dtype=np.float64)
        signs = signs.reshape(len(rows), len(names), SIGNS)
        signs = signs[np.isfinite(signs[:, :, :NORM]).all(axis=(1, 2))] if signs.size else signs
        ratios = np.array([ratio for at, ratio in self.ratios if at <= until and np.isfinite(ratio)])
        updates, loss, loss_max, grad_norm, lr = kept.T
        return Trace(
            updates,
            loss,
            loss_max,
            grad_norm,
            lr,
            ratios=ratios,
            layers=names,
            signs=signs,
            started=self.start is not None,
            epochs=np.array(self.epochs, dtype=np.float64).reshape(-1, 2),
            divergence=divergence,
            horizon=float(horizon or (pieces[-1, 0] if len(pieces) else 1)),
            in_updates=self.in_updates,
        )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
