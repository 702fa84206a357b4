"""The Wilcoxon signed-rank test, exact also with ties, and Holm's adjustment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class SignedRank(NamedTuple):
    """What the test says of some paired differences."""

    p_value: float
    """Two-sided, of differences symmetric about zero."""
    leaning: float
    """Ranks of the positive differences less those of the negative ones."""


def signed_rank(differences: Sequence[float]) -> SignedRank:
    """The exact two-sided signed-rank test, zero differences discarded.

    The null distribution is counted out over the ranks as they are, average ranks of ties included, so it is exact
    where ``scipy.stats.wilcoxon`` goes over to the normal approximation; without ties the two agree.

    Args:
        differences: paired differences; infinite ones rank highest. At most a few hundred.

    Returns:
        p = 1 where all are zero, or there are none. With n non-zero differences p is never below 2 / 2**n.

    Source: Wilcoxon, Biometrics Bulletin 1 (1945).
    """
    nonzero = np.array([difference for difference in differences if difference != 0])
    if not len(nonzero):
        return SignedRank(1.0, 0.0)
    _, inverse, counts = np.unique(np.abs(nonzero), return_inverse=True, return_counts=True)
    # tied values share the mean of their ranks; doubled, means of ranks are whole numbers
    doubled = (2 * np.cumsum(counts) - counts + 1)[inverse]
    total = int(doubled.sum())
    chance = np.zeros(total + 1)
    chance[0] = 1.0
    for rank in doubled:
        with_rank = chance / 2
        chance = with_rank.copy()
        chance[rank:] += with_rank[: total + 1 - rank]
    positive = int(doubled[nonzero > 0].sum())
    tail = min(chance[: positive + 1].sum(), chance[positive:].sum())
    return SignedRank(min(1.0, 2 * float(tail)), (2 * positive - total) / 2)


def holm(p_values: Sequence[float]) -> list[float]:
    """``p_values`` adjusted for being several (Holm, Scandinavian Journal of Statistics 6, 1979), in the same order."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for position, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - position) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def fewest_pairs(n_tests: int, level: float) -> int:
    """How many pairs it takes at least for one of ``n_tests`` Holm-adjusted tests to reach p < ``level``."""
    n_pairs = 1
    while n_tests * 2 / 2**n_pairs >= level:
        n_pairs += 1
    return n_pairs
