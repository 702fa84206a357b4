"""The least-squares program: the recursion as published, and its cliff."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lrsearch.errors import InvalidInput

SPECTRUM = [2.5, 1.0, 0.3, 0.01]


def test_it_is_the_recursion(make_program):
    program = make_program("least-squares", {"spectrum": SPECTRUM}, batch_size=4)
    rates = np.linspace(0.5, 0.01, 30)
    record = program.run_epoch(1, rates[None, :, None])[0]
    l, p, losses, norms = np.array(SPECTRUM), np.ones(4), [], []  # noqa: E741  the formula's own letter
    for lr in rates:
        losses.append((l * p).sum() / 2)
        norms.append(math.sqrt((l * l * p).sum()))
        p = (1 - lr * l) ** 2 * p + lr**2 * (1 / 4 - 1 / 20) * l * (l * p).sum()
    assert record.metrics["train_loss"] == pytest.approx(np.mean(losses), rel=1e-12)
    assert record.metrics["val_loss"] == pytest.approx((l * p).sum() / 2, rel=1e-12)
    assert record.metrics["grad_norm"] == pytest.approx(np.mean(norms), rel=1e-12)


@pytest.mark.parametrize("spectrum", [SPECTRUM, [7.0], None])
def test_full_batch_training_diverges_exactly_beyond_two_over_the_largest_eigenvalue(make_program, spectrum):
    cliff = 2 / max(spectrum or [1.0])

    def trained(rate):
        program = make_program("least-squares", spectrum and {"spectrum": spectrum}, batch_size="full")
        return program.run_epoch(1, np.full((1, 20_000, 1), rate))[0]

    below, above = trained(cliff * (1 - 1e-3)), trained(cliff * (1 + 1e-3))
    assert below.divergence is None
    assert below.metrics["val_loss"] < below.metrics["train_loss"]
    update, rate = above.divergence
    first = sum(spectrum or np.arange(1, 101) ** -1.5) / 2
    largest = max(spectrum or [1.0])
    grown = math.log(1e6 * max(1, first) * 2 / largest) / (2 * math.log(1 + 2e-3))
    assert update == pytest.approx(grown, abs=2)
    assert rate == cliff * (1 + 1e-3)


def test_a_smaller_batch_diverges_earlier(make_program):
    def diverges(batch_size):
        program = make_program("least-squares", batch_size=batch_size)
        return program.run_epoch(1, np.full((1, 2000, 1), 1.9))[0].divergence is not None

    assert [diverges(size) for size in (1, 20)] == [True, False]


def test_many_updates_an_interval_take_little_memory(make_program):
    program = make_program("least-squares", {"dimension": 5000})
    pieces, whole = make_program("least-squares", {"dimension": 5000}), program
    rates = np.full((1, 450, 1), 0.1)
    whole.run_epoch(1, rates)
    for epoch in range(3):
        pieces.run_epoch(epoch + 1, rates[:, :150])
    assert np.array_equal(whole.save(0)["z"], pieces.save(0)["z"])


@pytest.mark.parametrize(
    "train",
    [{"optimizer": {"name": "sgd", "momentum": 0.9}}, {"optimizer": "adam"}, {"clip_norm": 1.0}],
)
def test_what_the_recursion_does_not_know_is_refused(make_program, train):
    with pytest.raises(InvalidInput, match="least-squares"):
        make_program("least-squares", **train)
