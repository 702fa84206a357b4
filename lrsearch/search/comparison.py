"""Comparing samplers: best values so far, and which arm is better beyond chance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..schedules import FloatArray
from ..study import ArmResult, ComparisonResult, Curve, Duel
from .signed_rank import fewest_pairs, holm, signed_rank

SAME = "no significant difference"
LEVEL = 0.05
"""A difference is significant below this p-value."""
RESAMPLES = 1000
MAX_POINTS = 200
"""A curve has at most so many points."""


class Finish(NamedTuple):
    """How one trial of a repeat ended."""

    value: float | None
    """The objective; None unless it completed."""
    epochs: int
    """Epochs trained for it."""


Repeats = Sequence[Sequence[Finish]]


def judge(arms: Mapping[str, Repeats], minimize: bool) -> ComparisonResult:
    """What finished repeats say about the arms.

    Args:
        arms: by name: repeats, each the finishes of its trials in the order of their numbers. Repeat r of one arm is
            paired with repeat r of the others.
        minimize: whether smaller values are better.

    Returns:
        Per arm: the best value so far by trials and by epochs trained (mean over repeats, 95 % bootstrap band) and the
        best at the end. Per pair: the share of repeats that a wins, and the two-sided Wilcoxon signed-rank test,
        Holm-adjusted over all pairs. A repeat in which nothing completed counts as worse than any that has a value.
    """
    sign = 1.0 if minimize else -1.0
    results = tuple(_arm(name, repeats, sign) for name, repeats in arms.items())
    pairs = list(itertools.combinations(results, 2))
    differences = [_differences(a, b, sign) for a, b in pairs]
    tests = [signed_rank(each) for each in differences]
    p_values = holm([test.p_value for test in tests])
    duels = tuple(
        _duel(a, b, each, test.leaning, p_value)
        for (a, b), each, test, p_value in zip(pairs, differences, tests, p_values, strict=True)
    )
    finished = min((len(repeats) for repeats in arms.values()), default=0)
    return ComparisonResult(finished_repeats=finished, arms=results, duels=duels, verdict=_verdict(duels, finished))


def _arm(name: str, repeats: Repeats, sign: float) -> ArmResult:
    finals = [_best(repeat, sign) for repeat in repeats]
    n_trials = max((len(repeat) for repeat in repeats), default=0)
    first_epochs = min((repeat[0].epochs for repeat in repeats if repeat), default=0)
    epochs = max((sum(end.epochs for end in repeat) for repeat in repeats if repeat), default=-1)
    return ArmResult(
        name=name,
        final_values=tuple(finals),
        median=_median(finals, sign),
        by_trials=_curve(_ticks(1, n_trials), repeats, sign, _trials_spent),
        by_epochs=_curve(_ticks(first_epochs, epochs), repeats, sign, _epochs_spent),
    )


def _trials_spent(repeat: Sequence[Finish]) -> NDArray[np.int64]:
    return np.arange(1, len(repeat) + 1, dtype=np.int64)


def _epochs_spent(repeat: Sequence[Finish]) -> NDArray[np.int64]:
    return np.cumsum([finish.epochs for finish in repeat], dtype=np.int64)


def _best(repeat: Sequence[Finish], sign: float) -> float | None:
    return min((end.value for end in repeat if end.value is not None), key=lambda value: sign * value, default=None)


def _median(values: Sequence[float | None], sign: float) -> float | None:
    """The median, where a missing value is worse than any other; None where it falls on a missing one."""
    if not values:
        return None
    ordered = sorted(math.inf if value is None else sign * value for value in values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return sign * middle if math.isfinite(middle) else None


def _ticks(first: int, last: int) -> NDArray[np.int64]:
    """Whole numbers from first to last, thinned to MAX_POINTS; none where last < first."""
    if last < first:
        return np.empty(0, np.int64)
    return np.unique(np.linspace(first, last, min(MAX_POINTS, last - first + 1)).round().astype(np.int64))


def _curve(
    ticks: NDArray[np.int64], repeats: Repeats, sign: float, spent: Callable[[Sequence[Finish]], NDArray[np.int64]]
) -> Curve:
    """The best value so far at each tick of what ``spent`` counts after every trial of a repeat.

    A repeat that is over keeps its best. While some repeat has no value yet, the mean has none.
    """
    rows: list[FloatArray] = []
    for repeat in repeats:
        scores = [math.inf if finish.value is None else sign * finish.value for finish in repeat]
        best = np.minimum.accumulate([math.inf, *scores])
        rows.append(best[np.searchsorted(spent(repeat), ticks, side="right")])
    table = np.array(rows).reshape(len(rows), len(ticks))
    known: NDArray[np.bool_] = np.all(np.isfinite(table), axis=0, keepdims=True)[0]
    known_table = table[:, known]
    # how often each repeat is drawn, resample by resample: the same draws for every tick make smooth bands
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), RESAMPLES) if rows else np.empty((0, 0))
    means = draws @ known_table / max(1, len(rows))
    low, high = np.quantile(means, [0.025, 0.975], axis=0) if known.any() else np.empty((2, 0))
    mean = known_table.mean(axis=0) if known.any() else np.empty(0)
    if sign < 0:
        low, high = high, low

    def spread(values: FloatArray) -> tuple[float | None, ...]:
        filled = iter(sign * values)
        return tuple(float(next(filled)) if there else None for there in known)

    return Curve(x=tuple(map(float, ticks)), mean=spread(mean), low=spread(low), high=spread(high))


def _differences(a: ArmResult, b: ArmResult, sign: float) -> list[float]:
    """Score of a less that of b in each repeat: negative where a is better, infinite where only one has a value."""
    scores = [
        [math.inf if value is None else sign * value for value in pair]
        for pair in zip(a.final_values, b.final_values, strict=False)
    ]
    return [0.0 if one == other else one - other for one, other in scores]


def _duel(a: ArmResult, b: ArmResult, differences: Sequence[float], leaning: float, p_value: float) -> Duel:
    wins = sum(1.0 if difference < 0 else 0.5 if difference == 0 else 0.0 for difference in differences)
    verdict = SAME
    if p_value < LEVEL:
        better, worse = (a.name, b.name) if leaning < 0 else (b.name, a.name)
        verdict = f"{better} is better than {worse}"
    probability = wins / len(differences) if differences else 0.5
    return Duel(a=a.name, b=b.name, probability_a_better=probability, p_value=p_value, verdict=verdict)


def _verdict(duels: Sequence[Duel], finished: int) -> str:
    """All duels in words; where so few repeats can show nothing, that."""
    needed = fewest_pairs(len(duels), LEVEL) if duels else 0
    if finished < needed:
        return f"{SAME}: {finished} finished repeats can never show one, at least {needed} are needed"
    told = [f"{duel.verdict} (p = {duel.p_value:.2g})" for duel in duels if duel.verdict != SAME]
    if not told:
        return SAME
    even = [f"{duel.a} and {duel.b}" for duel in duels if duel.verdict == SAME]
    return "; ".join([*told, f"{SAME} between {', '.join(even)}"] if even else told)
