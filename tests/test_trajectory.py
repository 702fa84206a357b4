"""Keys say exactly which trajectories are the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch import trajectory
from lrsearch.schedules import CLOSED_FORMS, Schedule

RECIPE = {"task": "least-squares", "options": {"b": 1, "a": [1, 2]}, "batch_size": 64}
PER_EPOCH = 4


def step(**fields):
    told = {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 5, "epochs": 30}
    return Schedule.model_validate(told | fields)


def every_control(schedule, per_epoch):
    plan = trajectory.Plan(schedule, per_epoch)
    return [plan.controls(epoch) for epoch in range(1, plan.n_epochs + 1)]


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=50))
def test_rounding_keeps_44_bits_of_mantissa(values):
    exact = np.array(values)
    rounded = trajectory.rounded(exact)
    assert (np.abs(rounded - exact) <= 2.0**-45 * exact).all()
    assert (trajectory.rounded(rounded) == rounded).all()
    low_bits = rounded.view(np.uint64) & np.uint64(2 ** (52 - 44) - 1)
    assert not low_bits.any()


@given(st.floats(1e-10, 10))
def test_a_last_bit_of_difference_is_rounded_away_almost_always(value):
    on_the_grid = trajectory.rounded(np.array([value]))
    for neighbour in (np.nextafter(on_the_grid, 0), np.nextafter(on_the_grid, 100)):
        assert (trajectory.rounded(neighbour) == on_the_grid).all()
    assert trajectory.rounded(np.zeros(3)).tolist() == [0, 0, 0]


@given(data=st.data())
def test_controls_are_the_rounded_rates_cut_into_intervals(schedules, data):
    schedule, per_epoch = data.draw(schedules())
    found = every_control(schedule, per_epoch)
    assert all(part.shape[1:] == (1,) and part.dtype == np.float64 for part in found)
    interval = schedule.updates_per_interval(per_epoch)
    assert all(len(part) == interval for part in found[:-1])
    assert 1 <= len(found[-1]) <= interval
    joined = np.concatenate(found)[:, 0]
    assert (joined == trajectory.rounded(schedule.lr_table(per_epoch))).all()


@settings(max_examples=100)
@given(data=st.data())
def test_keys_are_equal_exactly_where_all_controls_so_far_are(schedules, data):
    pair = [data.draw(schedules(max_updates=24)) for _ in range(2)]
    if data.draw(st.booleans()):
        schedule, per_epoch = pair[0]
        changed = data.draw(st.sampled_from(["initial_lr", "final_factor", "warmup_start"]))
        pair[1] = (schedule.model_copy(update={changed: data.draw(st.sampled_from([0.01, 0.5, 1.0]))}), per_epoch)
    (a, per_a), (b, per_b) = pair
    start = trajectory.first_key(RECIPE, 0)
    keys_a, keys_b = (trajectory.Plan(s, per).keys(start)[1:] for s, per in ((a, per_a), (b, per_b)))
    equal_so_far = True
    for x, y, key_a, key_b in zip(every_control(a, per_a), every_control(b, per_b), keys_a, keys_b, strict=False):
        equal_so_far = equal_so_far and np.array_equal(x, y)
        assert (key_a == key_b) == equal_so_far
    assert trajectory.plan_key(RECIPE, 0, a, per_a) == keys_a[-1]


def test_the_recipe_and_the_seed_part_trajectories_and_the_order_of_fields_does_not():
    reordered = {"batch_size": 64, "options": {"a": [1, 2], "b": 1}, "task": "least-squares"}
    first = trajectory.first_key(RECIPE, 0)
    assert trajectory.first_key(reordered, 0) == first
    assert trajectory.first_key(RECIPE, 1) != first
    assert trajectory.first_key(RECIPE | {"batch_size": 65}, 0) != first
    assert trajectory.plan_key(RECIPE, 0, step(), 4) != trajectory.plan_key(RECIPE, 1, step(), 4)


def test_the_worked_grid_of_the_design_has_3180_distinct_epochs_of_5760():
    grid = itertools.product((0.03, 0.01, 0.003, 0.001), (0.1, 0.3, 0.5, 0.7), (5, 10, 15, 20), (0, 2, 5))
    schedules = [step(initial_lr=lr, decay_rate=rate, step_size=size, warmup=warmup) for lr, rate, size, warmup in grid]
    assert trajectory.count_epochs(schedules, 40) == (5760, 3180)


def test_other_names_for_the_same_curve_are_one_trajectory():
    plan_keys = {
        trajectory.plan_key(RECIPE, 0, schedule, PER_EPOCH)
        for schedule in (
            step(step_size=30),
            step(step_size=40, decay_rate=0.3),
            step(decay_rate=1),
            step(final_factor=1),
            Schedule.model_validate({"family": "constant", "initial_lr": 0.1, "epochs": 30}),
            Schedule.model_validate({"family": "cosine", "initial_lr": 0.1, "final_factor": 1, "epochs": 30}),
            Schedule.model_validate({"family": "constant", "initial_lr": 0.1, "updates": 120, "eval_every": 4}),
        )
    }
    assert len(plan_keys) == 1


RAMP = {"warmup": 9, "warmup_shape": "cosine", "warmup_start": 0.04, "final_factor": 0.01}
SAME_CURVES = {
    "a line": [{"family": "linear"}, {"family": "polynomial", "power": 1}, {"family": "wsd", "decay_length": "100%"}],
    "a cosine": [
        {"family": "cosine", **RAMP},
        {"family": "one_cycle", **RAMP},
        {"family": "cosine_restarts", "cycle": 21, **RAMP},
        {"family": "wsd", "decay_shape": "cosine", "decay_length": 21, **RAMP},
    ],
    "steps": [
        {"family": "step", "decay_rate": 0.3, "step_size": 10},
        {"family": "multistep", "decay_rate": 0.3, "milestones": [10, 20]},
        {"family": "piecewise", "milestones": [10, 20], "factors": [0.3, 0.3**2], "between": "step"},
    ],
    "nothing changes": [
        {"family": "constant"},
        {"family": "multistep", "decay_rate": 0.5, "milestones": [30]},
        {"family": "piecewise", "milestones": [3, 4], "factors": [1, 1]},
        {"family": "cyclic", "cycle": 4, "final_factor": 1},
    ],
}


@pytest.mark.parametrize("name", SAME_CURVES)
def test_other_families_with_the_same_curve_are_one_trajectory(name):
    told = [{"initial_lr": 0.1, "epochs": 30, **fields} for fields in SAME_CURVES[name]]
    keys = {trajectory.plan_key(RECIPE, 0, Schedule.model_validate(fields), PER_EPOCH) for fields in told}
    assert len(keys) == 1


def test_endings_of_a_stable_training_share_all_that_comes_before():
    told = {"family": "wsd", "initial_lr": 0.1, "epochs": 20, "warmup": 2}
    shapes = [told | {"decay_length": n, "decay_shape": s} for n in (2, 5) for s in ("linear", "cosine", "1-sqrt")]
    asked, distinct = trajectory.count_epochs([Schedule.model_validate(fields) for fields in shapes], PER_EPOCH)
    assert (asked, distinct) == (6 * 20, 18 + 3 * 2 + 3 * 5)


@pytest.mark.parametrize("family", [family for family, kind in CLOSED_FORMS.items() if "D" not in kind.rule()])
@given(data=st.data())
def test_families_that_do_not_look_at_the_horizon_share_across_horizons(family, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, max_updates=60))
    longer = {"updates": schedule.horizon + 7} if schedule.updates else {"epochs": schedule.horizon + 7}
    long = type(schedule).model_validate(schedule.model_dump() | longer)
    start = trajectory.first_key(RECIPE, 0)
    keys = trajectory.Plan(schedule, per_epoch).keys(start)
    if schedule.updates:  # the last interval may be cut short
        keys = keys[: schedule.horizon // (schedule.eval_every or 1)]
    assert keys == trajectory.Plan(long, per_epoch).keys(start)[: len(keys)]


def test_cosine_looks_at_the_horizon():
    told = {"family": "cosine", "initial_lr": 0.1, "epochs": 5}
    assert trajectory.count_epochs([Schedule.model_validate(told | {"epochs": n}) for n in (5, 6)], 3) == (11, 11)


@settings(max_examples=60)
@given(data=st.data())
def test_distinct_epochs_are_those_of_brute_force(data):
    per_epoch = data.draw(st.integers(1, 5))
    few = {
        "family": st.sampled_from(["step", "exponential"]),
        "initial_lr": st.sampled_from([0.1, 0.2]),
        "decay_rate": st.sampled_from([0.5, 1.0]),
        "step_size": st.sampled_from([1, 2, 9]),
        "warmup": st.sampled_from([0, 1]),
        "epochs": st.sampled_from([2, 3, 6]),
    }
    drawn = data.draw(st.lists(st.fixed_dictionaries(few), min_size=1, max_size=12))
    schedules = [Schedule.model_validate(fields) for fields in drawn]
    prefixes = {
        np.concatenate(every_control(schedule, per_epoch)[:epoch]).tobytes()
        for schedule in schedules
        for epoch in range(1, schedule.horizon + 1)
    }
    assert trajectory.count_epochs(schedules, per_epoch) == (sum(s.horizon for s in schedules), len(prefixes))


@pytest.mark.parametrize(
    ("n_train", "batch_size", "updates"),
    [(1000, 64, 16), (64, 64, 1), (65, 64, 2), (7, "full", 1), (1, 5, 1)],
)
def test_the_last_partial_batch_is_an_update(n_train, batch_size, updates):
    assert trajectory.updates_per_epoch_of(n_train, batch_size) == updates
