"""Successive halving for trials that cannot be paused: at a rung a trial goes on or ends for good."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..study import RungPruner


def falls_behind(pruner: RungPruner, minimize: bool, own: float | None, others: Sequence[float | None]) -> bool:
    """Whether a trial at a rung is not among the best 1 / reduction_factor of those that have been there.

    Args:
        pruner: its reduction factor.
        minimize: whether smaller is better.
        own: the trial's objective at the rung; None = not finite.
        others: those of the trials it is compared with; None = not finite, or diverged before.

    Returns:
        False while there are fewer than reduction_factor trials, this one included. A tie goes to the newcomer. The
        stopping variant of ASHA, as ``optuna.pruners.SuccessiveHalvingPruner`` has it.
    """
    if own is None:
        return True
    n_trials = len(others) + 1
    if n_trials < pruner.reduction_factor:
        return False
    sign = 1.0 if minimize else -1.0
    better = sum(sign * (math.inf * sign if value is None else value) < sign * own for value in others)
    return better >= n_trials // pruner.reduction_factor
