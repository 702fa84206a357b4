"""Laws of every family with every warm-up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.schedules import CLOSED_FORMS, WARMUPS, Schedule, whole_updates

EPS = np.finfo(float).eps

RAMPS = {
    "linear": lambda s, share: s + (1 - s) * share,
    "exponential": lambda s, share: math.exp(math.log(s) * (1 - share)),
    "cosine": lambda s, share: 1 - (1 - s) * (1 + math.cos(math.pi * share)) / 2,
}
"""Share of the peak at a share of the warm-up, written otherwise than in the package."""


def warm_restarts(p, v, length):
    """Cycle after cycle, as one would count them; the last one may be cut by the horizon, none begins there."""
    n, start, lasts = 0, 0, p["cycle"]
    while start + lasts <= v < length or (v == length and start + lasts < length):
        n, start = n + 1, start + lasts
        lasts = math.floor(p["cycle"] * p["cycle_growth"] ** n + 0.5)
    height = (1 - p["final_factor"]) * p["peak_decay"] ** n
    return p["final_factor"] + height * (1 + math.cos(math.pi * (v - start) / lasts)) / 2


def triangles(p, v, length):
    n, x = divmod(v, p["cycle"])
    x, falls = x / p["cycle"], 1 - p["rise"]
    bottoms = n if x < falls else n + 1
    height = p["peak_decay"] ** (v / p["cycle"] if p["envelope"] == "exponential" else bottoms)
    return p["final_factor"] + (1 - p["final_factor"]) * height * (
        1 - x / falls if x < falls else (x - falls) / p["rise"]
    )


def pieces(p, v, length):
    share = 1.0
    if p["between"] == "step":
        for milestone, factor in zip(p["milestones"], p["factors"], strict=True):
            share = factor if v >= milestone else share
        return share
    unique = dict(zip([0, *p["milestones"]], [1.0, *p["factors"]], strict=True))  # of two at one update the last holds
    return float(np.interp(v, list(unique), list(unique.values())))


def annealed(share_left):
    """The decay to ``final_factor`` of which ``share_left(p, v, length)`` is left."""
    return lambda p, v, length: p["final_factor"] + (1 - p["final_factor"]) * share_left(p, v, length)


def cosine_left(done):
    return (1 + math.cos(math.pi * done)) / 2


def stable_left(p, v, length):
    lasts = max(1, min(p["decay_length"], length))
    done = max(0, v - (length - lasts)) / lasts
    return {"linear": 1 - done, "cosine": cosine_left(done), "1-sqrt": 1 - math.sqrt(done)}[p["decay_shape"]]


DECAYS = {
    "constant": lambda p, v, length: 1.0,
    "step": lambda p, v, length: p["decay_rate"] ** (v // p["step_size"]),
    "exponential": lambda p, v, length: math.exp(math.log(p["decay_rate"]) * v / p["step_size"]),
    "cosine": lambda p, v, length: (
        p["final_factor"] + (1 - p["final_factor"]) * (1 + math.cos(math.pi * v / length)) / 2
    ),
    "multistep": lambda p, v, length: math.prod([p["decay_rate"] for at in p["milestones"] if at <= v]),
    "piecewise": pieces,
    "inverse_time": lambda p, v, length: 1 / (1 + v / p["timescale"]),
    "inverse_sqrt": lambda p, v, length: (1 + v / p["timescale"]) ** -0.5,
    "linear": annealed(lambda p, v, length: 1 - v / length),
    "polynomial": annealed(lambda p, v, length: (1 - v / length) ** p["power"]),
    "rex": annealed(lambda p, v, length: (1 - v / length) / (0.5 + 0.5 * (1 - v / length))),
    "wsd": annealed(stable_left),
    "one_cycle": annealed(
        lambda p, v, length: cosine_left(v / length) if p["decay_shape"] == "cosine" else 1 - v / length
    ),
    "cosine_restarts": warm_restarts,
    "cyclic": triangles,
}
"""Share of the peak v updates after the warm-up of a decay that is ``length`` updates long; lengths in updates."""

law = pytest.mark.parametrize(("family", "shape"), [(family, shape) for family in CLOSED_FORMS for shape in WARMUPS])


def parameters(schedule, clock):
    lengths = schedule.lengths()
    given = {name: getattr(schedule, name) for name in schedule.parameters()}

    def whole(length):
        return math.floor(length * clock.updates_per_unit + 0.5)

    return {
        name: value if name not in lengths else [whole(x) for x in value] if isinstance(value, tuple) else whole(value)
        for name, value in given.items()
    }


@law
@settings(max_examples=15)
@given(data=st.data())
def test_the_rate_is_the_formulas_at_every_update(family, shape, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, shape))
    clock = schedule.clock(per_epoch)
    values = parameters(schedule, clock)
    for update, rate in enumerate(schedule.lr_table(per_epoch)):
        if update < clock.warmup:
            share = RAMPS[shape](schedule.warmup_start, update / clock.warmup)
        else:
            decay = DECAYS[family](values, update - clock.warmup, clock.horizon - clock.warmup)
            share = max(schedule.final_factor, decay)
        assert rate == pytest.approx(share * schedule.initial_lr, rel=1e-9, abs=8 * EPS * schedule.initial_lr)


@law
@settings(max_examples=15)
@given(data=st.data())
def test_it_starts_peaks_and_ends_where_it_should(family, shape, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, shape))
    clock = schedule.clock(per_epoch)
    peak = schedule.initial_lr
    start = schedule.warmup_start if clock.warmup else 1.0
    assert schedule.lr(0, per_epoch) == pytest.approx(start * peak, rel=4 * EPS, abs=2 * EPS * peak)
    assert schedule.lr(clock.warmup, per_epoch) == pytest.approx(peak, rel=4 * EPS)
    length = clock.horizon - clock.warmup
    end = max(schedule.final_factor, DECAYS[family](parameters(schedule, clock), length, length))
    assert schedule.lr(clock.horizon, per_epoch) == pytest.approx(end * peak, rel=1e-9, abs=2 * EPS * peak)
    for beyond in (1, 2, 1000, 10**12):
        assert schedule.lr(clock.horizon + beyond, per_epoch) == schedule.lr(clock.horizon, per_epoch)


@law
@settings(max_examples=15)
@given(data=st.data())
def test_it_rises_to_the_peak_and_then_never_again(family, shape, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, shape))
    clock = schedule.clock(per_epoch)
    rates = schedule.lr(np.arange(clock.horizon + 2), per_epoch)
    slack = 2 * EPS * schedule.initial_lr
    assert np.isfinite(rates).all()
    assert rates.min() >= 0
    assert rates.max() <= schedule.initial_lr + slack
    assert (np.diff(rates[: clock.warmup + 1]) >= -slack).all()
    assert rates[clock.warmup :].min() >= schedule.final_factor * schedule.initial_lr - slack
    if type(schedule).MONOTONE:
        assert (np.diff(rates[clock.warmup :]) <= slack).all()


@law
@settings(max_examples=10)
@given(data=st.data())
def test_one_update_many_updates_and_the_table_agree_to_the_bit(family, shape, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, shape, max_updates=100))
    clock = schedule.clock(per_epoch)
    table = schedule.lr_table(per_epoch)
    assert table.shape == (clock.horizon,)
    assert table.dtype == np.float64
    asked = data.draw(st.lists(st.integers(0, clock.horizon - 1), min_size=1, max_size=20))
    assert (schedule.lr(asked, per_epoch) == table[asked]).all()
    assert schedule.lr(np.array([asked, asked]), per_epoch).shape == (2, len(asked))
    for update in asked:
        rate = schedule.lr(update, per_epoch)
        assert type(rate) is float
        assert rate == table[update]


@given(data=st.data())
def test_a_step_falls_at_the_exact_update(schedules, data):
    schedule, per_epoch = data.draw(schedules("step"))
    clock = schedule.clock(per_epoch)
    step = whole_updates(schedule.step_size, clock.updates_per_unit)
    assume(schedule.decay_rate < 0.99)
    rates = schedule.lr(np.arange(clock.horizon), per_epoch) / schedule.initial_lr
    falls = np.flatnonzero(np.diff(rates[clock.warmup :]) < 0) + 1 + clock.warmup
    due = np.arange(clock.warmup + step, clock.horizon, step)
    floor = max(schedule.final_factor, 1e-300)
    above = [update for update in due if rates[update - 1] > floor]
    assert falls.tolist() == above or falls.tolist() == due[: len(falls)].tolist()
    assert len(falls) >= sum(rates[update - 1] * schedule.decay_rate > floor for update in due)


@given(share=st.integers(0, 400).map(lambda quarter: quarter / 4), epochs=st.integers(1, 10_000))
def test_shares_are_of_the_horizon_and_are_kept_as_numbers(share, epochs):
    assume(share < 99)
    written = {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "warmup": f"{share:g}%", "step_size": "25%"}
    schedule = Schedule.model_validate(written | {"epochs": epochs})
    assert schedule.warmup == pytest.approx(share / 100 * epochs, rel=1e-15)
    assert schedule.step_size == epochs / 4
    assert "%" not in schedule.model_dump_json()
    in_updates = Schedule.model_validate(written | {"updates": 100 * epochs, "eval_every": 1})
    assert in_updates.clock().warmup == whole_updates(share * epochs, 1)
    assert in_updates.variables(in_updates.clock())["step_size"] == 25 * epochs


@given(length=st.floats(0, 1e6), per_unit=st.integers(1, 10**6))
def test_lengths_round_half_up_to_whole_updates(length, per_unit):
    updates = whole_updates(length, per_unit)
    assert isinstance(updates, int)
    assert abs(updates - length * per_unit) <= 0.5 * (1 + 1e-9)
    assert whole_updates(0.5, 1) == 1
    assert whole_updates(1.5, 1) == 2
    assert whole_updates(2.5, 1) == 3


@law
@settings(max_examples=10)
@given(data=st.data())
def test_a_horizon_in_epochs_is_one_in_updates(family, shape, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, shape))
    clock = schedule.clock(per_epoch)
    dumped = schedule.model_dump() | {"epochs": None, "updates": clock.horizon, "eval_every": per_epoch or 1}
    dumped |= {name: value for name, value in parameters(schedule, clock).items() if name in schedule.lengths()}
    same = Schedule.model_validate(dumped)
    assert (same.lr_table() == schedule.lr_table(per_epoch)).all()


def test_exponential_decays_by_its_rate_an_epoch_or_an_interval_unless_told():
    told = {"family": "exponential", "initial_lr": 1.0, "decay_rate": 0.5}
    assert Schedule.model_validate(told | {"epochs": 4}).lr([0, 10, 20], 10).tolist() == [1, 0.5, 0.25]
    in_updates = Schedule.model_validate(told | {"updates": 40, "eval_every": 10})
    assert in_updates.step_size == 10
    assert in_updates.lr([0, 10, 20]).tolist() == [1, 0.5, 0.25]


def test_updates_count_from_zero_and_an_epoch_needs_its_updates():
    schedule = Schedule.model_validate({"family": "cosine", "initial_lr": 0.1, "epochs": 3})
    for wrong in (-1, [0, -1], float("nan")):
        with pytest.raises(InvalidInput, match="updates count from 0"):
            schedule.lr(wrong, 10)
    for wrong in (None, 0, -3, 2.5, True, "10"):
        with pytest.raises(InvalidInput, match="give `updates_per_epoch`"):
            schedule.lr(0, wrong)
    assert schedule.lr([], 10).shape == (0,)


def test_lengths_too_short_or_too_long_once_they_are_whole_updates_are_refused():
    told = {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "epochs": 2}
    with pytest.raises(InvalidInput, match="`step_size` must last at least one update"):
        Schedule.model_validate(told | {"step_size": 0.1}).lr_table(4)
    with pytest.raises(InvalidInput, match="warm-up must end before the horizon"):
        Schedule.model_validate(told | {"step_size": 1, "warmup": 1.9}).lr_table(2)
