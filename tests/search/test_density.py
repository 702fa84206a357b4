"""Densities of Parzen estimators: the same bits as Optuna's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_weights

from lrsearch.search.density import log_pdf

DIMENSIONS: dict[str, BaseDistribution] = {
    "plain": FloatDistribution(-1.0, 2.0),
    "log": FloatDistribution(1e-5, 10.0, log=True),
    "narrow": FloatDistribution(0.3, 0.3001),
    "stepped": FloatDistribution(0.0, 1.0, step=0.125),
    "whole": IntDistribution(1, 40),
    "whole log": IntDistribution(1, 4000, log=True),
    "choice": CategoricalDistribution(("a", "b", "c")),
}
PARAMETERS = _ParzenEstimatorParameters(1.0, True, False, default_weights, True)


def drawn(distribution: BaseDistribution, draw: np.random.Generator, n: int) -> np.ndarray:
    if isinstance(distribution, CategoricalDistribution):
        return draw.integers(0, len(distribution.choices), n).astype(float)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    values = np.exp(draw.uniform(np.log(low), np.log(high), n)) if distribution.log else draw.uniform(low, high, n)
    if distribution.step is not None:
        values = low + np.round((values - low) / distribution.step) * distribution.step
    values[: n // 10] = low  # some lie on the bounds, and together
    values[n // 10 : n // 5] = high
    return np.clip(values, low, high)


def estimator(names: list[str], n: int, seed: int) -> _ParzenEstimator:
    space = {name: DIMENSIONS[name] for name in names}
    draw = np.random.default_rng(seed)
    return _ParzenEstimator({name: drawn(its, draw, n) for name, its in space.items()}, space, PARAMETERS)


def same(names: list[str], n: int, seed: int) -> None:
    ours = estimator(names, n, seed)
    samples = ours.sample(np.random.RandomState(seed), 24)
    points = ours._transform(samples)
    np.testing.assert_array_equal(log_pdf(ours._mixture_distribution, points), ours.log_pdf(samples))


@given(
    names=st.lists(st.sampled_from(sorted(DIMENSIONS)), min_size=1, unique=True),
    n=st.integers(0, 300),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_same_bits(names: list[str], n: int, seed: int) -> None:
    same(names, n, seed)


@pytest.mark.parametrize("n", [1023, 1999, 2000, 12_345])
@pytest.mark.parametrize("names", [["plain"], ["log", "plain"], ["narrow", "choice", "log", "whole", "plain"]], ids=len)
def test_the_same_bits_of_many(names: list[str], n: int) -> None:
    same(names, n, n)


def test_the_same_of_points_outside() -> None:
    ours = estimator(["plain", "log"], 30, 0)
    points = np.array([[0.0, 1.0], [-1.5, 1.0], [0.0, 11.0], [2.0, 10.0], [-1.0, 1e-5]])
    theirs = ours.log_pdf({"plain": points[:, 0], "log": points[:, 1]})
    found = log_pdf(ours._mixture_distribution, points)
    assert np.isneginf(found[1])
    np.testing.assert_array_equal(found, theirs)


def test_the_same_of_more_dimensions_than_are_summed_in_turn() -> None:
    space = {f"x{index}": FloatDistribution(0.0, 1.0 + index) for index in range(9)}
    draw = np.random.default_rng(0)
    ours = _ParzenEstimator({name: drawn(its, draw, 50) for name, its in space.items()}, space, PARAMETERS)
    samples = ours.sample(np.random.RandomState(0), 24)
    found = log_pdf(ours._mixture_distribution, ours._transform(samples))
    np.testing.assert_array_equal(found, ours.log_pdf(samples))
