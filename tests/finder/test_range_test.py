from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsearch
from lrsearch.errors import InvalidInput
from lrsearch.study import RangeTestResult


class Quadratic:
    """Gradient descent on a badly conditioned quadratic: it diverges from 2 / curvature on."""

    def __init__(self, curvature: float = 10.0, noise: float = 0.0) -> None:
        self.curvature = np.array([curvature, curvature / 10])
        self.w = np.ones(2)
        self.noise = noise
        self.draw = np.random.default_rng(0)
        self.rates: list[float] = []

    def __call__(self, lr: float) -> float:
        self.rates.append(lr)
        loss = float(self.curvature @ self.w**2 / 2) + self.noise * self.draw.standard_normal()
        self.w = self.w - lr * self.curvature * self.w
        return loss


@pytest.mark.parametrize("curvature", [0.5, 10.0, 1e3])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_the_suggestion_lies_below_the_edge_and_converges(curvature, noise):
    scale = curvature if noise else 1.0
    result = lrsearch.range_test(Quadratic(curvature, noise * scale), 1e-6 / curvature * 10, 1e3 / curvature)
    assert result.suggested is not None
    assert result.edge is not None
    assert 0.01 / curvature < result.suggested < 2 / curvature
    assert 2 / curvature / 1.3 < result.edge < 60 / curvature
    assert result.initial_lr.low < result.suggested < result.initial_lr.high <= result.edge * 1.05
    assert result.confidence > 0.2
    assert f"{result.suggested:.2g}" in result.verdict


@pytest.mark.parametrize("sweep", ["exponential", "linear"])
@pytest.mark.parametrize("batches", [1, 3])
def test_rates_rise_from_low_to_high(sweep, batches):
    model = Quadratic(1e-3)
    result = lrsearch.range_test(model, 1e-4, 1.0, 90, batches_per_rate=batches, sweep=sweep)
    assert len(model.rates) == 90
    assert list(dict.fromkeys(model.rates)) == list(result.lr)
    assert (result.lr[0], result.lr[-1]) == (1e-4, 1.0)
    steps = np.diff(np.log(result.lr) if sweep == "exponential" else result.lr)
    assert np.allclose(steps, steps[0])


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=60))
@settings(deadline=None, max_examples=200)
def test_any_losses_give_an_answer_that_travels(losses):
    stream = iter(losses)
    with np.errstate(over="ignore", invalid="ignore"):
        result = lrsearch.range_test(lambda lr: next(stream, 1.0), 1e-6, 10, 60)
    assert RangeTestResult.model_validate_json(result.model_dump_json()) == result
    assert len(result.lr) == len(result.loss) == len(result.smoothed)
    for rate in (result.suggested, *result.suggestions.values()):
        assert rate is None or (math.isfinite(rate) and rate > 0)


def test_nan_ends_the_test_and_marks_the_edge():
    rates: list[float] = []

    def update(lr: float) -> float:
        rates.append(lr)
        return math.nan if lr > 0.1 else 2.0 - 10 * lr

    result = lrsearch.range_test(update, 1e-4, 10, 100)
    assert rates[-1] == result.lr[-1] == result.edge
    assert result.loss[-1] is None
    assert result.suggested < 0.1


def test_a_loss_that_never_falls_suggests_nothing():
    result = lrsearch.range_test(lambda lr: 2.3, 1e-6, 1.0)
    assert result.suggested is None
    assert result.initial_lr is None
    assert result.confidence == 0
    assert "never fell" in result.verdict


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_has_neither_a_rate_nor_an_edge(seed):
    noise = np.random.default_rng(seed)
    result = lrsearch.range_test(lambda lr: 4.6 + 0.01 * noise.standard_normal(), 1e-6, 1.0)
    assert (result.suggested, result.edge) == (None, None)


@pytest.mark.parametrize("seed", range(5))
def test_an_explosion_after_noise_is_an_edge(seed):
    noise = np.random.default_rng(seed)
    result = lrsearch.range_test(lambda lr: 4.6 + 0.01 * noise.standard_normal() + (lr > 0.01) * lr, 1e-6, 1.0)
    assert result.suggested is None
    assert 0.005 < result.edge < 0.2
    assert "never fell" in result.verdict


def test_losses_below_zero_do_not_stop_it():
    result = lrsearch.range_test(lambda lr: -5 * lr / (lr + 0.01), 1e-5, 1.0)
    assert len(result.lr) == 100


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"low": 1.0, "high": 0.1}, "low < high"),
        ({"low": 0.0}, "low"),
        ({"updates": 10}, "20 rates"),
        ({"batches_per_rate": 50}, "20 rates"),
        ({"smoothing": 2.0}, "smoothing"),
        ({"stop_factor": 1.0}, "stop_factor"),
        ({"sweep": "cosine"}, "sweep"),
    ],
)
def test_what_breaks_a_law_is_refused(wrong, field):
    with pytest.raises(InvalidInput, match=field):
        lrsearch.range_test(lambda lr: 1.0, **wrong)


@pytest.mark.parametrize("ending", ["png", "svg"])
@pytest.mark.parametrize("curve", ["bowl", "flat", "lost"])
def test_every_result_is_drawn(tmp_path, ending, curve):
    losses = {"bowl": Quadratic(), "flat": lambda lr: 2.3, "lost": lambda lr: math.nan}
    path = tmp_path / f"range.{ending}"
    lrsearch.range_test(losses[curve]).plot(path, title="a range test")
    if ending == "png":
        assert path.read_bytes().startswith(b"\x89PNG")
    else:
        assert ET.parse(path).getroot().tag.endswith("svg")
    with pytest.raises(InvalidInput, match="cannot be written"):
        lrsearch.range_test(losses[curve]).plot(tmp_path / "range.nothing")
