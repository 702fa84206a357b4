"""The median rule: when a trial is not worth going on with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..study import MedianPruner


def stops(pruner: MedianPruner, minimize: bool, own: Sequence[float | None], others: Sequence[float | None]) -> bool:
    """Whether a trial is stopped: its best value so far is worse than the median of the others at the same epoch.

    Args:
        pruner: when the rule begins to hold.
        minimize: whether smaller is better.
        own: the trial's objective after epochs 1..e; None where it was not finite.
        others: the objective after epoch e of the completed trials it is compared with; None where it was not finite.

    Returns:
        True also for a trial with no finite value yet. Agrees with ``optuna.pruners.MedianPruner``
        (Golovin et al., Google Vizier, KDD 2017, section 3.2.2).
    """
    if len(others) < max(1, pruner.startup_trials) or len(own) < max(1, pruner.startup_epochs):
        return False
    finite = _finite(own)
    if not finite:
        return True
    comparable = _finite(others)
    if not comparable:
        return False
    median = float(np.percentile(comparable, 50))
    return min(finite) > median if minimize else max(finite) < median


def _finite(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]
