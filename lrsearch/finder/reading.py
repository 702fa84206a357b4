"""What a sweep's losses say: smoothed, read by every rule, and put into words."""

from __future__ import annotations

import math

import numpy as np

from ..schedules import FloatArray
from ..study import Range, RangeTestResult, SweepLosses
from .rules import RULES

SMOOTHING = 0.02
"""Standard deviation of the smoothing window, as a share of the rates tried."""
SAFE = 3.0
"""An edge over this is a reading of a good rate."""
LOST = 0.5
"""Training is lost where the loss has risen again by this share of its fall, and does not come back."""
RISEN = 0.9
"""Beyond the point where the loss has risen again by this share of its fall, rules would read an explosion."""
AGREE, DISAGREE = 3.0, 100.0
"""Spreads of the suggestions that count as full and as no agreement."""
REACH = 10.0
"""The suggested range reaches so many times below and above the suggested rate, and never beyond the edge."""
CLEAR = 4.0
"""A fall of so many standard deviations of the noise is one to believe."""
NOTHING = 1e-9
"""A fall of this share of the loss is rounding."""
FLAT = "the loss never fell: try higher rates, more updates, or look for a fault in the training"


def smooth(loss: FloatArray, share: float = SMOOTHING) -> FloatArray:
    """``loss`` averaged with Gaussian weights over its neighbours, centred, so that nothing is moved to higher rates.

    Args:
        loss: finite, shape (n,).
        share: the window's standard deviation over n, >= 0; at least one point, but 0 leaves the loss as it is.

    Returns:
        float64 of shape (n,).
    """
    if share == 0:
        return loss.astype(np.float64)
    at = np.arange(len(loss))
    weights = np.exp(-0.5 * ((at[:, None] - at) / max(1.0, share * len(loss))) ** 2)
    smoothed: FloatArray = weights @ loss / weights.sum(axis=1)
    return smoothed


@np.errstate(over="ignore", invalid="ignore")  # of losses near the end of the numbers
def read(losses: SweepLosses, smoothing: float = SMOOTHING) -> RangeTestResult:
    """The suggestions of every rule, their spread, the edge, and a range for ``initial_lr``.

    The suggested rate is the geometric mean of three readings: the rate that has brought half of the loss's fall, the
    rate of its lowest point, and a third of the edge where there is one. It is never above half of the edge.

    Args:
        losses: what a sweep measured.
        smoothing: standard deviation of the smoothing window as a share of the rates tried, in [0, 1].
    """
    lr = np.array(losses.lr, dtype=np.float64)
    raw = np.array([math.nan if value is None else value for value in losses.loss], dtype=np.float64)
    n_finite = int(np.isfinite(raw).argmin()) if not np.isfinite(raw).all() else len(raw)
    rates, finite = lr[:n_finite], raw[:n_finite]
    if n_finite < 3:
        first = float(lr[n_finite]) if n_finite < len(lr) else None
        return _result(losses, finite, {}, edge=first)
    # an explosion must not leak into the valley before it
    smoothed = smooth(np.minimum(finite, finite[: int(finite.argmin()) + 1].max()), smoothing)
    edge = _edge(lr, smoothed)
    # rules read what lies before the edge and a little beyond: an explosion would hide the slopes that matter
    shown = _before_explosion(smoothed)
    found = {name: rule(rates[:shown], smoothed[:shown]) for name, rule in RULES.items()}
    fall = float(smoothed[0] - smoothed.min())
    noise = float(np.std((finite - smoothed)[: int(smoothed.argmin()) + 1]))
    clear = min(1.0, fall / (CLEAR * noise)) if noise > 0 else float(fall > 0)
    if fall <= NOTHING * abs(smoothed[0]) or clear < 0.5:
        whole = smooth(finite, smoothing)
        return _result(losses, whole, {}, edge=_edge_of_noise(lr, whole, finite))
    lowest = int(smoothed.argmin())
    halfway = int(np.flatnonzero(smoothed[: lowest + 1] <= smoothed[0] - fall / 2)[0])
    readings = [rates[halfway], rates[lowest], *([edge / SAFE] if edge is not None else [])]
    suggested = float(np.exp(np.mean(np.log(readings))))
    if edge is not None:
        suggested = min(suggested, edge / 2)
    return _result(losses, smoothed, found, suggested=suggested, edge=edge, clear=clear)


def _edge(lr: FloatArray, smoothed: FloatArray) -> float | None:
    """The lowest rate from which on the loss stays lost; the first that was not finite is lost for certain."""
    lowest = int(smoothed.argmin())
    bound = smoothed[lowest] + LOST * (smoothed[0] - smoothed[lowest])
    fine = np.flatnonzero(smoothed <= bound)
    first_lost = int(fine[-1]) + 1 if len(fine) else 0
    return float(lr[first_lost]) if first_lost < len(lr) else None


def _edge_of_noise(lr: FloatArray, smoothed: FloatArray, finite: FloatArray) -> float | None:
    """As ``_edge`` where nothing fell: the loss rises above most rates' by more than noise, and stays there."""
    usual = float(np.median(finite))
    apart = np.abs(finite - usual)
    bound = usual + max(CLEAR * float(np.median(apart)), NOTHING * abs(usual))
    fine = np.flatnonzero(smoothed <= bound)
    first_lost = int(fine[-1]) + 1 if len(fine) else len(lr)
    return float(lr[first_lost]) if first_lost < len(lr) else None


def _before_explosion(smoothed: FloatArray) -> int:
    """How many points the rules are shown: up to where the loss has risen back by most of its fall."""
    lowest = int(smoothed.argmin())
    bound = smoothed[lowest] + RISEN * (smoothed[0] - smoothed[lowest])
    beyond = np.flatnonzero(smoothed[lowest:] > bound)
    return lowest + int(beyond[0]) + 1 if len(beyond) else len(smoothed)


def _result(
    losses: SweepLosses,
    smoothed: FloatArray,
    found: dict[str, float | None],
    *,
    suggested: float | None = None,
    edge: float | None,
    clear: float = 0.0,
) -> RangeTestResult:
    rules = [rate for rate in found.values() if rate is not None]
    spread = max(rules) / min(rules) if rules else None
    agreement = 0.0
    if spread is not None:
        agreement = 1 - math.log(max(spread, AGREE) / AGREE) / math.log(DISAGREE / AGREE)
    confidence = clear * (0.25 + 0.5 * max(0.0, agreement) + 0.25 * (edge is not None)) if suggested else 0.0
    initial_lr = None
    if suggested is not None:
        high = suggested * REACH if edge is None else min(suggested * REACH, edge)
        initial_lr = Range(low=_rounded(suggested / REACH), high=_rounded(high), log=True)
    n_missing = len(losses.lr) - len(smoothed)
    return RangeTestResult(
        lr=losses.lr,
        loss=losses.loss,
        smoothed=(*smoothed.tolist(), *[None] * n_missing),
        suggestions={name: found.get(name) for name in RULES},
        suggested=suggested,
        spread=spread,
        confidence=confidence,
        edge=edge,
        initial_lr=initial_lr,
        verdict=_words(suggested, spread, edge, initial_lr, confidence),
    )


def _words(
    suggested: float | None, spread: float | None, edge: float | None, initial_lr: Range | None, confidence: float
) -> str:
    lost = f"training is lost from {edge:.2g} on" if edge is not None else "no rate tried was too high"
    if suggested is None or initial_lr is None:
        return (
            FLAT
            if edge is None
            else f"the loss never fell clearly; {lost}: try more updates, larger batches, or lower rates"
        )
    trust = "trust it" if confidence >= 0.6 else "a rough guide" if confidence >= 0.3 else "little to go by"
    return (
        f"begin with {suggested:.2g}; search {initial_lr.low:.2g} to {initial_lr.high:.2g}; {lost}; "
        f"the rules differ by a factor of {spread or 1:.2g} (confidence {confidence:.2f}: {trust})"
    )


def _rounded(rate: float) -> float:
    """A bound to two digits, as people write it."""
    return float(f"{rate:.1e}")
