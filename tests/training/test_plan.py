"""A plan's controls do not depend on how many are computed at once; its keys begin at a store key."""

from __future__ import annotations

import hashlib
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.schedules import Schedule
from lrsearch.training.plan import Plan, store_key
from lrsearch.trajectory import first_key, interval_bounds, n_intervals, rounded


def next_key(key, controls):
    """A link of the chain as the formats' documents give it: the key before, the shape, the rounded controls."""
    written = b"(%d, %d)" % controls.shape + controls.astype("<f8").tobytes()
    return hashlib.blake2b(bytes.fromhex(key) + written, digest_size=16).hexdigest()


@hypothesis.settings(max_examples=20)
@hypothesis.given(data=st.data(), block=st.sampled_from([1, 7, 65_536]))
def test_controls_are_the_rounded_rates_however_many_are_computed_at_once(schedules, data, block):
    schedule, updates_per_epoch = data.draw(schedules())
    try:
        schedule.clock(updates_per_epoch)
    except InvalidInput:
        hypothesis.reject()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[Plan.__module__], "BLOCK", block)
        plan = Plan(schedule, updates_per_epoch or 3)
        assert plan.n_epochs == n_intervals(schedule, updates_per_epoch)
        key = first_key({"task": "t"}, 1)
        keys = plan.keys(key, plan.n_epochs)
        assert keys[0] == key
        for epoch in range(1, plan.n_epochs + 1):
            first, end = interval_bounds(schedule, updates_per_epoch, epoch)
            expected = rounded(schedule.lr(np.arange(first, end), updates_per_epoch))[:, None]
            assert plan.bounds(epoch) == (first, end)
            assert np.array_equal(plan.controls(epoch), expected)
            key = next_key(key, expected)
            assert keys[epoch] == key
            assert plan.chain(keys[epoch - 1], epoch, plan.n_epochs + 1) == keys[epoch:]


def test_a_store_key_names_recipe_fingerprint_and_numerics():
    schedule = Schedule.model_validate({"family": "constant", "initial_lr": 0.1, "epochs": 2})
    keys = {store_key(a, b, c) for a in ("a", "b") for b in ("c", "d") for c in ("e", "f")}
    assert len(keys) == 8
    assert len({Plan(schedule, 5).keys(key, 2)[-1] for key in keys}) == 8
