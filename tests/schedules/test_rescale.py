"""A rescaled schedule is the same curve over another horizon, and says what it assumed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.schedules import CLOSED_FORMS, Schedule, rescaled, whole_updates

STEP = Schedule.model_validate(
    {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 3, "warmup": 1, "epochs": 10}
)
UPDATES = Schedule.model_validate(
    {"family": "cosine", "initial_lr": 0.1, "updates": 400, "eval_every": 40, "warmup": 80}
)


@pytest.mark.parametrize("family", CLOSED_FORMS)
@given(data=st.data(), times=st.integers(2, 5))
def test_k_times_the_horizon_is_the_curve_k_times_as_slow(family, schedules, data, times):
    schedule = in_whole_updates(*data.draw(schedules(family, max_updates=60)))
    longer = schedule.rescale(updates=times * schedule.updates)
    assert (longer.updates, longer.warmup) == (times * schedule.updates, times * schedule.warmup)
    rounded = {"cycles", "decay_length"} & schedule.variables(schedule.clock()).keys()  # to whole updates
    for name in rounded:
        before, after = (np.asarray(each.variables(each.clock())[name]) for each in (schedule, longer))
        assume(before.shape == after.shape and (after == times * before).all())
    updates = np.arange(schedule.updates + 1)
    assert longer.lr(times * updates) == pytest.approx(schedule.lr(updates), rel=1e-9, abs=1e-12 * schedule.initial_lr)
    assert longer.rescale(updates=schedule.updates).updates == schedule.updates


def in_whole_updates(schedule, per_epoch):
    """A schedule of the same family, its horizon and lengths in whole updates."""
    clock = schedule.clock(per_epoch)
    fields = {name: getattr(schedule, name) for name in schedule.parameters()}
    for name in schedule.lengths():
        whole = [whole_updates(length, clock.updates_per_unit) for length in np.atleast_1d(fields[name]).tolist()]
        assume(len(set(whole)) == len(whole))
        fields[name] = whole if isinstance(fields[name], tuple) else whole[0]
    told = {"family": schedule.family, "updates": clock.horizon, "eval_every": clock.horizon}
    return Schedule.model_validate(told | fields)


def test_lengths_keep_their_share():
    longer = STEP.rescale(epochs=30)
    assert (longer.epochs, longer.warmup, longer.step_size, longer.initial_lr) == (30, 3, 9, 0.1)
    assert rescaled(STEP, {"epochs": 30}).assumed == (
        "10 epochs to 30 epochs: every length keeps its share of the horizon",
    )


def test_epochs_become_updates_and_back():
    counted = STEP.rescale(updates=700)
    assert (counted.updates, counted.eval_every, counted.warmup, counted.step_size) == (700, 70, 70, 210)
    assert counted.lr_table().tolist() == pytest.approx(STEP.lr_table(70).tolist(), rel=1e-12)
    back = counted.rescale(updates_per_epoch=70)
    assert back == STEP.model_copy(update={"warmup": back.warmup, "step_size": back.step_size})
    assert (back.warmup, back.step_size) == (pytest.approx(1), pytest.approx(3))


@pytest.mark.parametrize(("rule", "factor"), [("linear", 4), ("sqrt", 2)])
def test_another_batch_size_changes_the_rate_and_keeps_the_examples(rule, factor):
    larger, assumed = rescaled(UPDATES, {"batch_size": 256, "from_batch_size": 64, "rule": rule})
    assert larger.initial_lr == pytest.approx(0.1 * factor)
    assert (larger.updates, larger.eval_every, larger.warmup) == (100, 10, 20)
    assert f"{rule} rule" in assumed[0]
    assert "400 updates become 100" in assumed[1]
    in_epochs = STEP.rescale(batch_size=256, from_batch_size=64, rule=rule)
    assert in_epochs == STEP.model_copy(update={"initial_lr": STEP.initial_lr * factor})


def test_nothing_asked_is_nothing_changed():
    assert rescaled(STEP, {"epochs": 10, "updates_per_epoch": 9}) == (STEP, ())


@pytest.mark.parametrize(
    ("schedule", "to", "field"),
    [
        (STEP, {"epochs": 3, "updates": 4}, "updates"),
        (STEP, {"batch_size": 128}, "from_batch_size"),
        (STEP, {"batch_size": 0, "from_batch_size": 64}, "batch_size"),
        (STEP, {"batch_size": 128, "from_batch_size": 64, "rule": "cubic"}, "rule"),
        (UPDATES, {"updates_per_epoch": 7}, "updates_per_epoch"),
        (STEP, {"epochs": 0}, "epochs"),
    ],
)
def test_what_cannot_be_is_refused_by_field(schedule, to, field):
    with pytest.raises(InvalidInput) as error:
        schedule.rescale(**to)
    assert [fault.field for fault in error.value.faults] == [field]
