from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from lrsearch.search import Finish, judge
from lrsearch.search.comparison import SAME
from lrsearch.search.signed_rank import fewest_pairs, holm, signed_rank


def finals(values: list[float | None]) -> list[list[Finish]]:
    return [[Finish(value, 1)] for value in values]


@given(st.lists(st.floats(-1e3, 1e3).filter(bool), min_size=1, max_size=30))
def test_signed_rank_agrees_with_scipy_without_ties(differences: list[float]) -> None:
    assume(len({abs(difference) for difference in differences}) == len(differences))
    expected = wilcoxon(differences, method="exact").pvalue
    assert signed_rank(differences).p_value == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(-3, 3).map(float), max_size=9))
def test_signed_rank_counts_every_sign_pattern(differences: list[float]) -> None:
    sizes = [abs(difference) for difference in differences if difference]
    ranks = [sum(a < b for a in sizes) + (sum(a == b for a in sizes) + 1) / 2 for b in sizes]
    observed = sum(rank for rank, d in zip(ranks, filter(None, differences), strict=True) if d > 0)
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product([0, 1], repeat=len(ranks))]
    below, above = np.mean(np.array(sums) <= observed), np.mean(np.array(sums) >= observed)
    assert signed_rank(differences).p_value == pytest.approx(min(1.0, 2 * min(below, above)))


def test_holm_as_published() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_fewest_pairs() -> None:
    assert fewest_pairs(1, 0.05) == 6
    assert fewest_pairs(3, 0.05) == 7


@pytest.mark.parametrize("minimize", [True, False])
def test_a_clear_winner(minimize: bool) -> None:
    low, high = finals([0.1 + i / 100 for i in range(8)]), finals([0.5 + i / 50 for i in range(8)])
    result = judge({"low": low, "high": high}, minimize)
    (duel,) = result.duels
    assert duel.p_value == pytest.approx(2 / 2**8)
    assert duel.probability_a_better == (1.0 if minimize else 0.0)
    winner, loser = ("low", "high") if minimize else ("high", "low")
    assert duel.verdict == f"{winner} is better than {loser}"
    assert result.verdict == f"{winner} is better than {loser} (p = 0.0078)"
    assert result.finished_repeats == 8
    assert result.arms[0].median == pytest.approx(0.135)


def test_ties_count_half_and_equal_arms_do_not_differ() -> None:
    result = judge({"a": finals([1.0, 2.0, 3.0] * 4), "b": finals([1.0, 2.0, 3.0] * 4)}, True)
    assert result.duels[0].probability_a_better == 0.5
    assert result.duels[0].p_value == 1.0
    assert result.duels[0].verdict == result.verdict == SAME == "no significant difference"


def test_few_repeats_can_show_nothing_and_say_so() -> None:
    result = judge({"a": finals([1.0] * 5), "b": finals([2.0] * 5)}, True)
    assert result.duels[0].verdict == SAME
    assert result.verdict == f"{SAME}: 5 finished repeats can never show one, at least 6 are needed"


def test_several_arms_share_the_level() -> None:
    arms = {"a": finals([1.0] * 6), "b": finals([2.0] * 6), "c": finals([3.0] * 6)}
    assert [duel.p_value for duel in judge(arms, True).duels] == pytest.approx([6 / 64] * 3)
    arms = {name: repeats + repeats for name, repeats in arms.items()} | {"c": finals([2.5, 1.5] * 6)}
    assert judge(arms, True).verdict == (
        "a is better than b (p = 0.0015); a is better than c (p = 0.0015); no significant difference between b and c"
    )


def test_a_repeat_without_a_value_is_worse_than_any() -> None:
    result = judge({"a": finals([1.0, 5.0, None, 2.0]), "b": finals([None, 9.0, None, None])}, True)
    assert result.duels[0].probability_a_better == 0.875
    assert [arm.median for arm in result.arms] == [3.5, None]
    maximised = judge({"a": finals([1.0, None, None]), "b": finals([2.0, 3.0, None])}, False)
    assert [arm.median for arm in maximised.arms] == [None, 2.0]


def test_curves_hold_the_best_so_far() -> None:
    repeats = [
        [Finish(None, 2), Finish(5.0, 2), Finish(7.0, 0), Finish(3.0, 2)],
        [Finish(4.0, 2), Finish(6.0, 1)],
    ]
    arm = judge({"a": repeats}, True).arms[0]
    assert arm.by_trials.x == (1, 2, 3, 4)
    assert arm.by_trials.mean == (None, 4.5, 4.5, 3.5)
    assert arm.by_epochs.x == (2, 3, 4, 5, 6)
    assert arm.by_epochs.mean == (None, None, 4.5, 4.5, 3.5)
    assert arm.by_trials.low[0] is None
    assert (arm.by_trials.low[3], arm.by_trials.high[3]) == (3.0, 4.0)
    assert arm.final_values == (3.0, 4.0)


@given(st.lists(st.lists(st.floats(-10, 10), min_size=3, max_size=3), min_size=1, max_size=6), st.booleans())
def test_curves_go_one_way_and_lie_in_their_band(values: list[list[float]], minimize: bool) -> None:
    arm = judge({"a": [[Finish(value, 4) for value in row] for row in values]}, minimize).arms[0]
    for curve in (arm.by_trials, arm.by_epochs):
        means = [value for value in curve.mean if value is not None]
        assert means == sorted(means, reverse=minimize)
        for low, mean, high in zip(curve.low, curve.mean, curve.high, strict=True):
            assert low is not None
            assert mean is not None
            assert high is not None
            assert low - 1e-9 <= mean <= high + 1e-9


def test_the_band_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        arm = judge({"a": finals(list(rng.normal(size=30)))}, True).arms[0]
        assert arm.by_trials.low[0] is not None
        assert arm.by_trials.high[0] is not None
        covered += arm.by_trials.low[0] <= 0 <= arm.by_trials.high[0]
    assert 86 <= covered <= 100


def test_long_curves_are_thinned_and_nothing_at_all_is_fine() -> None:
    arm = judge({"a": [[Finish(1 / (i + 1), 3) for i in range(5000)]]}, True).arms[0]
    assert len(arm.by_trials.x) == len(arm.by_epochs.x) == 200
    assert (arm.by_trials.x[-1], arm.by_epochs.x[-1]) == (5000, 15000)
    assert arm.by_trials.mean[-1] == pytest.approx(1 / 5000)
    empty = judge({"a": [[]], "b": [[]]}, True)
    assert empty.arms[0].by_trials.x == ()
    assert empty.arms[0].median is None
    assert math.isclose(empty.duels[0].p_value, 1.0)
