"""Trainings that fail for a known reason get the verdict that names it; those that do not, none."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrsearch
from lrsearch.diagnosis import HEALTHY, RULES
from lrsearch.diagnosis.pieces import Measured, diagnostics, rounded, sampled_updates
from lrsearch.errors import InvalidInput
from lrsearch.study import Diagnostics, Point

_found = importlib.util.spec_from_file_location("cases", Path(__file__).with_name("cases.py"))
assert _found is not None
assert _found.loader is not None
cases = importlib.util.module_from_spec(_found)
_found.loader.exec_module(cases)


@pytest.mark.parametrize(("case", "expected"), cases.CASES.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_a_made_failure_is_named_first(case, expected):
    records = case()
    found = lrsearch.diagnose(records)
    assert found.verdicts[0].rule == expected, [verdict.words for verdict in found.verdicts]
    assert found.healthy == (expected == "healthy")
    assert "nan" not in found.verdicts[0].words
    assert len(found.layers) == len(records[0].get("layers", {}))
    assert math.isclose(sum(found.shares.values()), 1 if found.layers else 0)


NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.none()
STEPS = st.lists(
    st.fixed_dictionaries(
        {"loss": NUMBERS},
        optional={
            "lr": st.floats(0, 10),
            "grad_norm": NUMBERS,
            "update_ratio": NUMBERS,
            "layers": st.just({"a": (0.1, 0.01, 0.0, 1.0), "b": (math.nan, 0.0, 1.0, 0.0)}),
        },
    ),
    min_size=1,
    max_size=60,
)


@given(STEPS, st.integers(1, 10_000))
def test_whatever_was_recorded_it_says_something(steps, horizon):
    records = [{"update": update, **step} for update, step in enumerate(steps)]
    verdicts = lrsearch.diagnose(records, horizon=horizon).verdicts
    assert {verdict.rule for verdict in verdicts} <= {rule.name for rule in (*RULES, HEALTHY)}
    assert verdicts


@given(st.lists(st.fixed_dictionaries({"train_loss": NUMBERS, "val_loss": NUMBERS}), min_size=1, max_size=40))
def test_epochs_alone_are_enough(metrics):
    points = [Point(epoch=epoch, metrics=its) for epoch, its in enumerate(metrics, 1)]
    assert lrsearch.diagnose(points).verdicts
    assert lrsearch.diagnose({"epoch": e, "metrics": its} for e, its in enumerate(metrics, 1)).verdicts


@pytest.mark.parametrize("records", [[], [{"update": 0}], [{"epoch": 0, "metrics": {}}], [{"loss": 1.0}]])
def test_what_is_no_record_is_refused(records):
    with pytest.raises(InvalidInput):
        lrsearch.diagnose(records)


def test_every_rule_says_what_it_means_and_is_only_silenced_by_those_before():
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    for number, rule in enumerate(RULES):
        assert rule.meaning
        assert set(rule.unless) <= set(names[:number])


@given(st.integers(0, 5000), st.integers(1, 2000))
def test_few_updates_are_looked_at_and_which_depends_on_their_numbers_alone(first, n):
    found = sampled_updates(first, n)
    assert found == sorted(set(found))
    assert all(first <= update < first + n for update in found)
    n_powers = sum(1 for update in found if update & (update - 1) == 0)
    assert len(found) - n_powers <= min(8, -(-n // 32) + 1)
    assert first > 0 or found[0] == 0


@given(st.lists(st.floats(-1e300, 1e300), min_size=1))
def test_numbers_keep_four_digits(values):
    np.testing.assert_allclose(rounded(np.array(values)), values, rtol=6e-4, atol=1e-290)


@given(st.integers(0, 100), st.integers(1, 300), st.integers(1, 4), st.integers(0, 300))
def test_pieces_cover_an_interval_and_break_where_it_diverged(first, n, n_lanes, at):
    losses = np.random.default_rng(n).random((n_lanes, n)) + 0.1
    losses[0, min(at, n - 1) :] = np.nan
    divergence = (first + min(at, n - 1), 0.1)
    sampled = sampled_updates(first, n)
    ratios = np.full((n_lanes, len(sampled)), 0.01)
    measured = Measured(first, np.full((n_lanes, n), 0.1), losses, losses, sampled, ratios, {})
    made = diagnostics(measured, [divergence, *[None] * (n_lanes - 1)])
    for lane, its in enumerate(made):
        if its is None:
            assert n < 16
            assert not sampled
            continue
        assert Diagnostics.model_validate(its.model_dump(mode="json")) == its
        assert its.updates[-1] == first + n
        lost = [end for end, loss in zip(its.updates, its.loss, strict=True) if loss is None]
        assert lost == [end for end in its.updates if lane == 0 and end > divergence[0]]
