from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.space.declared import dimension_of
from lrsearch.space.dimensions import Choices, Dimension, Interval, Listed, Spaced, Steps
from lrsearch.study import Fixed, Range

NUMBERS = st.floats(1e-6, 1e6) | st.integers(1, 1000)
DIMENSIONS = st.one_of(
    st.lists(NUMBERS, min_size=1, max_size=6, unique=True).map(tuple).map(lambda values: dimension_of(values, None)),
    st.builds(
        lambda low, span, num, log: dimension_of(Range(low=low, high=low + span, num=num, log=log), None),
        NUMBERS,
        NUMBERS,
        st.integers(2, 50),
        st.booleans(),
    ),
    st.builds(
        lambda low, parts, step: dimension_of(Range(low=low, high=low + parts * step, step=step), None),
        NUMBERS,
        st.floats(1, 60),
        st.floats(1e-3, 1e3),
    ),
    st.builds(
        lambda low, span, unit: dimension_of(Range(low=low * unit, high=(low + span) * unit, log=True), unit),
        st.integers(1, 20),
        st.integers(1, 50),
        st.sampled_from([1, 50]),
    ),
)


class Fixated:
    """Draws one given thing, where it may be drawn."""

    def __init__(self, drawn: Any) -> None:
        self.drawn = drawn

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        assert low <= self.drawn <= high
        return float(self.drawn)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        assert low <= self.drawn <= high
        assert not log or low >= 1
        return int(self.drawn)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        assert self.drawn in choices
        return self.drawn


@given(DIMENSIONS, st.data())
def test_every_value_is_drawn_by_its_coordinate(dimension: Dimension, data: st.DataObject) -> None:
    assert dimension.n is not None
    value = dimension.value(data.draw(st.integers(0, dimension.n - 1)))
    coordinate = dimension.coordinate(value)
    assert coordinate is not None
    assert dimension.suggest(Fixated(coordinate), "x") == value
    stored = json.loads(json.dumps(value))
    assert dimension.coordinate(stored) == coordinate


@given(DIMENSIONS)
def test_values_differ_and_lie_between_the_extremes(dimension: Dimension) -> None:
    assert dimension.n is not None
    values: list[Any] = [dimension.value(index) for index in range(dimension.n)]
    assert len(set(values)) == dimension.n
    assert min(values) == min(dimension.extremes())
    assert max(values) == max(dimension.extremes())
    if not isinstance(dimension, Choices):
        assert values == sorted(values)


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        (Range(low=0.1, high=0.7, num=4), [0.1, 0.3, 0.5, 0.7]),
        (Range(low=1e-4, high=1e-1, num=4, log=True), [1e-4, 1e-3, 1e-2, 1e-1]),
        (Range(low=0.1, high=0.5, step=0.1), [0.1, 0.2, 0.3, 0.4, 0.5]),
        (Range(low=0, high=1, step=0.3), [0, 0.3, 0.6, 0.9]),
        (Range(low=1, high=4, step=1), [1, 2, 3, 4]),
        ((0.3, 0.1, 0.2), [0.1, 0.2, 0.3]),
        (("linear", "cosine"), ["linear", "cosine"]),
        (([1, 2], [3]), [[1, 2], [3]]),
        ((True, False, 1, 0), [True, False, 1, 0]),
        (Fixed(value=[1, 2]), [[1, 2]]),
        ("linear", ["linear"]),
        (0.1, [0.1]),
    ],
)
def test_points_are_the_numbers_one_would_type(declared: Any, values: list[Any]) -> None:
    dimension = dimension_of(declared, None)
    assert dimension.n == len(values)
    assert [dimension.value(index) for index in range(len(values))] == values


def test_lengths_count_in_whole_numbers() -> None:
    dimension = dimension_of(Range(low=1.0, high=3.0), 1)
    assert [repr(dimension.value(index)) for index in range(3)] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ((0.1, 0.2, 0.3), Listed),
        ((0.1, 0.2), Choices),
        ((1, 2, True), Choices),
        (Range(low=1, high=2), Interval),
        (Range(low=1, high=2, num=3), Spaced),
        (Range(low=1, high=2, step=0.5), Steps),
    ],
)
def test_numbers_keep_their_order_for_the_sampler(declared: Any, kind: type) -> None:
    assert type(dimension_of(declared, None)) is kind


@pytest.mark.parametrize(
    ("dimension", "value"),
    [
        (Steps(1, 1, 3), 4),
        (Steps(1, 1, 3), 1.5),
        (Steps(1, 1, 3), True),
        (Steps(1, 1, 3), "1"),
        (Spaced(0.1, 0.7, 4, False), 0.2),
        (Listed((1, 2, 3)), True),
        (Choices((1, 0)), True),
        (Choices(("a",)), None),
        (Interval(0.1, 1, True), 1.1),
        (Interval(0.1, 1, True), True),
        (Interval(0.1, 1, True), [0.5]),
    ],
)
def test_what_is_not_of_a_dimension_has_no_coordinate(dimension: Dimension, value: Any) -> None:
    assert dimension.coordinate(value) is None


def test_points_are_never_written_out() -> None:
    dimension = dimension_of(Range(low=0, high=1, step=1e-12), None)
    assert dimension.n == 10**12 + 1
    assert dimension.value(123456789) == 0.000123456789
    assert dimension.coordinate(0.000123456789) == 123456789
    with pytest.raises(ValueError, match="fewer than 2"):
        dimension_of(Range(low=0, high=1, step=1e-300), None)
