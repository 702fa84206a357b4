"""Twelve failures written from the verdicts' definitions alone, before any was diagnosed: how many are named."""

from __future__ import annotations

import lrsearch

from .blind import CASES

# Named otherwise when first diagnosed, and left as they are; all three are called healthy:
#   warm_up_too_short: the loss rises from 0.59 to 10, comes back and ends at 0.2;
#   dead_units: 13 of the second layer's 24 channels never get a gradient, while the loss falls by 80 %;
#   overfitting: the validation loss rises from 2.07 to 2.26 in two thirds of the epochs, the training loss falls to 0.
RIGHT = 9


def test_failures_written_blind_are_named() -> None:
    assert len(set(CASES.values())) == len(CASES) == 12
    found = {case.__name__: lrsearch.diagnose(case()).verdicts[0].rule for case in CASES}
    missed = {case.__name__: found[case.__name__] for case, rule in CASES.items() if found[case.__name__] != rule}
    assert len(CASES) - len(missed) >= RIGHT, missed
