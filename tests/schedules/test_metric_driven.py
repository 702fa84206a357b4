"""Schedules that look at what was measured: torch's plateau, and the laws of them all."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.exports import export
from lrsearch.schedules import FAMILIES, Schedule
from lrsearch.trajectory import Plan, count_epochs, plan_key

DRIVEN = [name for name, family in FAMILIES.items() if family.METRIC_DRIVEN]
PER_EPOCH = 3
measured = st.floats(-10, 10) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0])
"""What may be measured; few values, so that equal ones and small steps come about, are drawn beside."""
metrics = st.lists(measured | st.integers(0, 4).map(lambda quarter: 1 - quarter * 1e-4), min_size=12, max_size=12)
thresholds = {
    "threshold": st.sampled_from([0.0, 1e-4, 0.3]),
    "threshold_mode": st.sampled_from(["rel", "abs"]),
    "direction": st.sampled_from(["minimize", "maximize"]),
}
drawn_fields = {
    "plateau": st.fixed_dictionaries(
        {
            "decay_rate": st.sampled_from([0.1, 0.5, 0.97, 1.0]),
            "patience": st.integers(0, 4),
            "cooldown": st.integers(0, 3),
            "raise_factor": st.sampled_from([1.0, 1.3]),
            **thresholds,
        }
    ),
    "adaptive_warmup": st.fixed_dictionaries(
        {
            "adapt": st.sampled_from([1.0, 1.5, 4.0]),
            "stretch": st.sampled_from([1.0, 2.0, 10.0]),
            "decay_shape": st.sampled_from(["constant", "linear", "cosine"]),
            **thresholds,
        }
    ),
}


@st.composite
def driven(draw, family=None):
    """A metric-driven schedule of 12 intervals of three updates, in epochs or in updates."""
    family = family or draw(st.sampled_from(DRIVEN))
    in_epochs = draw(st.booleans())
    told = {"family": family, "initial_lr": draw(st.sampled_from([1.0, 0.3])), **draw(drawn_fields[family])}
    told |= {"final_factor": draw(st.sampled_from([0.0, 0.01, 0.4])), "warmup": draw(st.sampled_from([1, 2, 4.5]))}
    if family == "plateau":
        told["warmup"] = draw(st.sampled_from([0, told["warmup"]]))
    if not in_epochs:
        for name in set(FAMILIES[family].lengths()) & told.keys():
            told[name] = math.floor(told[name] * PER_EPOCH)
    told |= {"epochs": 12} if in_epochs else {"updates": 12 * PER_EPOCH - 1, "eval_every": PER_EPOCH}
    return Schedule.model_validate(told), PER_EPOCH if in_epochs else None


def history_of(schedule, values):
    return [{schedule.metric: value, "other": 0.0} for value in values]


@settings(max_examples=150)
@given(values=metrics, fields=drawn_fields["plateau"], final_factor=st.sampled_from([0.0, 0.01, 0.4]))
def test_plateau_is_torchs(values, fields, final_factor):
    told = {"family": "plateau", "initial_lr": 0.3, "epochs": 12, "final_factor": final_factor, **fields}
    schedule = Schedule.model_validate({**told, "raise_factor": 1})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode=fields["direction"][:3], factor=min(fields["decay_rate"], 1 - 1e-16),
        patience=fields["patience"],
        threshold=fields["threshold"], threshold_mode=fields["threshold_mode"], cooldown=fields["cooldown"],
        min_lr=final_factor * 0.3, eps=0,
    )  # fmt: skip
    rates = []
    for value in values:
        rates.append(optimizer.param_groups[0]["lr"])
        theirs.step(value)
    ours = schedule.lr_table(1, history=history_of(schedule, values))
    np.testing.assert_allclose(ours, rates, rtol=1e-12)


def test_plateau_rises_a_little_while_it_improves_and_never_above_the_peak():
    told = {"family": "plateau", "initial_lr": 1.0, "decay_rate": 0.5, "patience": 0, "raise_factor": 1.5, "epochs": 7}
    schedule = Schedule.model_validate(told)
    table = schedule.lr_table(1, history=history_of(schedule, [1, 2, 2, 0.5, 0.4, 0.3]))
    assert table.tolist() == [1, 1, 0.5, 0.25, 0.375, 0.5625, 0.84375]
    assert schedule.lr_table(1, history=history_of(schedule, [6, 5, 4, 3, 2, 1])).tolist() == [1] * 7


def test_plateau_counts_from_the_end_of_the_warmup():
    told = {"family": "plateau", "initial_lr": 1.0, "decay_rate": 0.5, "patience": 1, "warmup": 2, "epochs": 6}
    schedule = Schedule.model_validate({**told, "warmup_start": 0})
    table = schedule.lr_table(2, history=history_of(schedule, [1, 5, 5, 5, 5]))
    assert table.tolist() == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 0.5, 0.5]


@settings(max_examples=100)
@given(drawn=driven("adaptive_warmup"), values=metrics)
def test_an_adaptive_ramp_only_rises_and_ends_within_its_bounds(drawn, values):
    schedule, per_epoch = drawn
    clock = schedule.clock(per_epoch)
    rates = schedule.lr(np.arange(clock.horizon + 1), per_epoch, history=history_of(schedule, values))
    peak = int(np.argmax(rates >= schedule.initial_lr * (1 - 1e-12)))
    assert rates[peak] == pytest.approx(schedule.initial_lr)
    assert (np.diff(rates[: peak + 1]) >= -1e-15).all()
    assert (np.diff(rates[peak:]) <= 1e-15).all()
    assert peak <= min(clock.horizon - 1, round(clock.warmup * schedule.stretch))
    assert peak >= round(clock.warmup / schedule.stretch)
    assert rates.min() >= 0


def test_a_ramp_shortens_while_the_loss_falls_and_lengthens_while_it_does_not():
    told = {"family": "adaptive_warmup", "initial_lr": 1.0, "warmup": 4, "warmup_start": 0, "epochs": 20}
    schedule = Schedule.model_validate(told)

    def end_of_ramp(values):
        return int(np.argmax(schedule.lr_table(10, history=history_of(schedule, values)) >= 1))

    falling, steady, broken = (end_of_ramp(values) for values in ([3, 2, 1] + [1] * 17, [3] * 20, [math.nan] * 20))
    assert falling < 40 < steady
    assert broken == 40


@settings(max_examples=150)
@given(drawn=driven(), values=metrics, others=metrics, done=st.integers(0, 12))
def test_what_is_foreseen_comes_about_whatever_is_measured(drawn, values, others, done):
    schedule, per_epoch = drawn
    plan = Plan(schedule, per_epoch)
    known = history_of(schedule, values[:done])
    whole = known + history_of(schedule, others[done:])
    foreseen = plan.foreseen(known)
    assert min(done + 1, plan.n_epochs) <= foreseen <= plan.n_epochs
    keys = plan.keys("00" * 16, history=known)
    assert len(keys) == foreseen + 1
    assert keys == plan.keys("00" * 16, history=whole)[: foreseen + 1]
    if foreseen < plan.n_epochs:
        with pytest.raises(InvalidInput, match=r"depend on what is measured.*`history`"):
            schedule.lr_table(per_epoch, history=known)


@settings(max_examples=60)
@given(drawn=driven(), values=metrics)
def test_the_curve_taken_can_be_replayed_and_exported(drawn, values):
    schedule, per_epoch = drawn
    history = history_of(schedule, values)
    table = schedule.lr_table(per_epoch, history=history)
    pieces = [Plan(schedule, per_epoch).controls(epoch, history[: epoch - 1])[:, 0] for epoch in range(1, 13)]
    np.testing.assert_allclose(np.concatenate(pieces), table, rtol=1e-12, atol=1e-15)
    names = {}
    exec(export(schedule, "torch", updates_per_epoch=per_epoch, history=history).text, names)
    written = [names["lr"](update) for update in range(len(table) + 5)]
    assert written == schedule.lr(np.arange(len(written)), per_epoch, history=history).tolist()


@pytest.mark.parametrize("family", DRIVEN)
def test_a_history_that_improves_shows_the_schedule_at_its_best(family):
    for direction in ("minimize", "maximize"):
        told = {"family": family, "initial_lr": 1.0, "epochs": 12, "warmup": 1, "direction": direction}
        extra = {"decay_rate": 0.5, "patience": 0} if family == "plateau" else {"decay_shape": "constant"}
        schedule = Schedule.model_validate({**told, **extra, "threshold": 0.2})
        table = schedule.lr_table(2, history=schedule.improving(2))
        assert (table[2:] == 1).all()


def test_what_nobody_can_know_is_not_counted():
    told = {"family": "plateau", "initial_lr": 1.0, "decay_rate": 0.5, "patience": 2, "epochs": 6}
    schedule, settled = (Schedule.model_validate({**told, "patience": patience}) for patience in (2, 6))
    constant = Schedule.model_validate({"family": "constant", "initial_lr": 1.0, "epochs": 6})
    assert plan_key({}, 0, schedule, 2) is None
    assert plan_key({}, 0, settled, 2) == plan_key({}, 0, constant, 2)
    assert count_epochs([schedule, constant], 2) == (12, None)
    assert count_epochs([settled, constant], 2) == (12, 6)
    assert Plan(schedule, 2).keys("00" * 16) == Plan(constant, 2).keys("00" * 16, 3)


def test_a_metric_that_is_not_measured_is_named():
    told = {"family": "plateau", "initial_lr": 1.0, "decay_rate": 0.5, "patience": 2, "epochs": 6}
    with pytest.raises(InvalidInput, match="`val_loss`, which was not measured in interval 1; there is val_accuracy"):
        Schedule.model_validate(told).lr(2, 2, history=[{"val_accuracy": 0.5}])
    with pytest.raises(InvalidInput, match="ReduceLROnPlateau"):
        Schedule.model_validate(told).to_torch(None, updates_per_epoch=2)
