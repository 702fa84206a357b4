"""Means and spreads over seeds: of any numbers that training may report, up to the largest."""

from __future__ import annotations

import statistics
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.study import Stop, mean_of, spread_of

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FINITE, min_size=1, max_size=5))
def test_a_mean_lies_between_its_values(values: list[float]) -> None:
    mean = mean_of(values)
    assert mean is not None
    slack = 1e-15 * max(map(abs, values))
    assert min(values) - slack <= mean <= max(values) + slack
    assert mean_of([*values, None]) is None


def test_the_mean_of_the_largest_numbers_is_the_largest() -> None:
    largest = sys.float_info.max
    for n in range(1, 6):  # three thirds of it round to more than it
        assert mean_of([largest] * n) == largest


@given(st.lists(FINITE, max_size=5))
def test_a_spread_is_a_number_or_nothing(values: list[float]) -> None:
    spread = spread_of([*values, None])
    assert (spread is None or spread >= 0) if len(values) > 1 else spread is None


def test_spreads_are_those_of_samples() -> None:
    assert spread_of([1.0, 2.0, 4.0]) == pytest.approx(statistics.stdev([1, 2, 4]))
    assert spread_of([1.7e308, -1.7e308]) is None


def test_early_stopping_compares_the_largest_numbers() -> None:
    assert Stop(patience=2).epoch([[1.7e308, 1.7e308], [1.6e308, 1.6e308], [1.7e308, 1.7e308], [None, 1.0]]) == 4
