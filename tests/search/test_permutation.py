from __future__ import annotations

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.search.permutation import Permutation


@given(n=st.integers(1, 300), seed=st.integers(0, 2**53))
def test_every_number_is_met_once(n: int, seed: int) -> None:
    shuffled = Permutation(n, seed)
    assert sorted(shuffled(i) for i in range(n)) == list(range(n))


@given(n=st.integers(1, 10**200), seed=st.integers(0, 100), data=st.data())
def test_numbers_of_any_size_stay_in_range_and_apart(n: int, seed: int, data: st.DataObject) -> None:
    shuffled = Permutation(n, seed)
    drawn = data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=5))
    images = {shuffled(i) for i in drawn}
    assert len(images) == len(drawn)
    assert all(0 <= image < n for image in images)


def test_the_seed_draws_the_order() -> None:
    orders = {tuple(Permutation(192, seed)(i) for i in range(192)) for seed in range(50)}
    assert len(orders) == 50
    assert [Permutation(192, 3)(i) for i in range(192)] == [Permutation(192, 3)(i) for i in range(192)]


@pytest.mark.parametrize("n", [5, 12, 33])
def test_the_first_numbers_cover_the_range_evenly(n: int) -> None:
    # 200 draws a number on average: 5 standard deviations of a fair draw are 71
    first = collections.Counter(Permutation(n, seed)(0) for seed in range(200 * n))
    assert len(first) == n
    assert max(abs(count - 200) for count in first.values()) < 71


@pytest.mark.parametrize("index", [-1, 7])
def test_other_numbers_are_refused(index: int) -> None:
    with pytest.raises(IndexError):
        Permutation(7, 0)(index)
