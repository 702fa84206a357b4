"""The rules against what fastai and torch-lr-finder compute, written out here as those libraries describe them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lrsearch.errors import InvalidInput
from lrsearch.finder import RULES, read, smooth
from lrsearch.study import RangeTestSpec, SweepLosses

LR = np.geomspace(1e-6, 10, 100)


def bowl(best: float, cliff: float, noise: float = 0.0, seed: int = 0):
    """A curve as sweeps show it: flat, falling around ``best``, exploding beyond ``cliff``."""
    fall = 1.8 / (1 + (best / LR) ** 1.5)
    blow = (LR / cliff) ** 3
    return 2.3 - fall + blow + noise * np.random.default_rng(seed).standard_normal(len(LR))


CURVES = {f"{best:g} {noise:g}": bowl(best, 100 * best, noise) for best in (1e-4, 1e-2) for noise in (0, 0.02, 0.1)}


def fastai_valley(lrs, losses):
    n, max_start, max_end = len(losses), 0, 0
    lengths = [1] * n
    for i in range(1, n):
        for j in range(i):
            if losses[i] < losses[j] and lengths[i] < lengths[j] + 1:
                lengths[i] = lengths[j] + 1
            if lengths[max_end] < lengths[i]:
                max_end = i
                max_start = max_end - lengths[max_end]
    third = (max_end - max_start) / 3
    return lrs[max_start + int(third) + int(third / 2)]


def fastai_slide(lrs, losses):
    slope = np.gradient(losses)
    right, left = -1, -16
    found = lrs[left]
    while left >= -len(losses) and abs(slope[right] - slope[left]) > 0.005:
        found = lrs[left]
        right, left = right - 1, left - 1
    return found


REFERENCES = {
    "valley": fastai_valley,
    "slide": fastai_slide,
    "minimum": lambda lrs, losses: lrs[losses.argmin()] / 10,
    "steepest": lambda lrs, losses: lrs[np.gradient(losses).argmin()],
}


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
@pytest.mark.parametrize("rule", RULES)
def test_rules_agree_with_the_libraries(rule, curve):
    assert RULES[rule](LR, curve) == REFERENCES[rule](LR, curve)


@given(arrays.arrays(np.float64, st.integers(17, 40), elements=st.floats(-10, 10)))
@settings(max_examples=200, deadline=None)
def test_valley_and_slide_agree_on_any_curve(losses):
    lr = LR[: len(losses)]
    assert RULES["slide"](lr, losses) == fastai_slide(lr, losses)
    found = RULES["valley"](lr, losses)
    if found is not None and found != lr[0]:  # fastai's index of a valley that begins at once may be -1: the last rate
        assert found == fastai_valley(lr, losses)


@given(arrays.arrays(np.float64, st.integers(3, 60), elements=st.floats(-1e6, 1e6)), st.sampled_from(list(RULES)))
@settings(max_examples=200, deadline=None)
def test_every_rule_answers_a_rate_of_the_sweep_or_nothing(losses, rule):
    found = RULES[rule](LR[: len(losses)], losses)
    assert found is None or LR[0] / 10 <= found <= LR[len(losses) - 1]


@pytest.mark.parametrize("rule", ["minimum", "steepest", "valley"])
def test_a_rising_curve_shows_no_rate(rule):
    assert RULES[rule](LR, np.linspace(1, 2, 100)) is None


@given(arrays.arrays(np.float64, 50, elements=st.floats(-1e3, 1e3)), st.floats(0, 1))
@settings(deadline=None)
def test_smoothing_stays_between_the_losses(losses, share):
    smoothed = smooth(losses, share)
    assert smoothed.min() >= losses.min() - 1e-9
    assert smoothed.max() <= losses.max() + 1e-9


def test_smoothing_moves_nothing_sideways():
    step = np.where(np.arange(101) < 50, 1.0, 0.0)
    assert smooth(step, 0.03)[49:51].mean() == pytest.approx(0.5, abs=1e-6)


@given(
    st.lists(st.floats(1e-30, 1e30), min_size=1, max_size=60, unique=True).map(sorted),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_whatever_a_worker_may_report_is_read(lr, data):
    """An answer that fails would come again for ever: the worker sends its curve until it is taken."""
    extreme = st.sampled_from([0.0, 1.0, -1e308, 1.7e308, 5e-324])
    losses = data.draw(st.lists(st.floats() | extreme | st.none(), min_size=len(lr), max_size=len(lr)))
    found = read(SweepLosses(lr=tuple(lr), loss=tuple(losses)))
    assert found.suggested is None or 0 < found.suggested < 1e31


@pytest.mark.parametrize("bounds", [{"low": 1e-300}, {"high": 1e300}])
def test_rates_beyond_all_sense_are_refused(bounds):
    with pytest.raises(InvalidInput, match=next(iter(bounds))):
        RangeTestSpec.read({"task": "toy"} | bounds)
