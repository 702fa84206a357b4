"""The stopping rule: patience counts epochs without improvement, whatever they were."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.resolve import resolve
from lrsearch.study import Stop, read_spec
from lrsearch.tasks.catalog import CATALOG

CURVES = st.lists(st.floats(-10, 10) | st.sampled_from([math.nan, math.inf, -math.inf]) | st.none(), max_size=30)


@given(CURVES, st.integers(1, 5), st.floats(0, 3), st.booleans())
def test_it_stops_at_the_first_epoch_with_patience_epochs_since_the_best(curve, patience, min_delta, minimize):
    sign = 1 if minimize else -1
    improved = [0]
    best = math.inf
    for epoch, value in enumerate(curve, 1):
        if value is not None and math.isfinite(value) and sign * value < best - min_delta:
            best = sign * value
            improved.append(epoch)
    gaps = [*pairwise(improved), (improved[-1], len(curve) + 1)]
    expected = next((start + patience for start, end in gaps if end - start > patience), None)
    rule = Stop(patience=patience, min_delta=min_delta, direction="minimize" if minimize else "maximize")
    assert rule.epoch([value] for value in curve) == expected


@given(CURVES, st.integers(1, 5))
def test_what_was_not_finite_never_improves(curve, patience):
    worst = [[math.nan]] * patience
    assert Stop(patience=patience).epoch(worst) == patience
    stopped = Stop(patience=patience).epoch([value] for value in curve)
    again = Stop(patience=patience).epoch([value if value is None or math.isfinite(value) else None] for value in curve)
    assert stopped == again


def test_it_looks_at_the_mean_over_seeds_and_one_seed_that_is_not_finite_spoils_it():
    curve = [[1.0, 3.0], [2.0, 1.0], [0.0, 3.2], [None, 0.0]]
    assert Stop(patience=1).epoch(curve) == 3
    assert Stop(patience=2).epoch(curve) == 4


def written(**stop):
    space = {"family": "cosine"}
    return read_spec({"task": "digits-mlp", "epochs": 4, "space": space, "stop": stop})


@pytest.mark.parametrize(
    ("stop", "metric", "direction"),
    [
        ({}, "val_loss", "minimize"),
        ({"metric": "val_accuracy"}, "val_accuracy", "maximize"),
        ({"metric": "train_accuracy"}, "train_accuracy", "maximize"),
        ({"metric": "train_loss"}, "train_loss", "minimize"),
        ({"metric": "grad_norm", "direction": "minimize"}, "grad_norm", "minimize"),
    ],
)
def test_the_direction_comes_from_the_objective_or_the_task(stop, metric, direction):
    resolved = resolve(written(**stop), CATALOG["digits-mlp"]).stop
    assert resolved == Stop(metric=metric, direction=direction)


@pytest.mark.parametrize(
    ("stop", "words"),
    [
        ({"metric": "grad_norm"}, "add `direction: minimize` or `maximize`"),
        ({"metric": "test_loss"}, "the test set is for the winner only"),
        ({"metric": "val_accuracy", "direction": "minimize"}, "val_accuracy is to maximize"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(stop, words):
    with pytest.raises(InvalidInput, match=words):
        resolve(written(**stop), CATALOG["digits-mlp"])


@pytest.mark.parametrize("stop", [{"patience": 0}, {"min_delta": -1}, {"patience": 1.5}, {"monitor": "val_loss"}])
def test_its_laws(stop):
    with pytest.raises(InvalidInput, match=r"stop\."):
        written(**stop)
