"""Agreement with torch's own schedulers, stepped as torch means them to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from lrsearch.schedules import Schedule

rates = st.floats(1e-6, 10)
horizons = st.integers(2, 200)


def torchs(make, initial_lr, n_updates):
    """The rates of ``n_updates`` updates of a torch scheduler, stepped after each."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=initial_lr)
    scheduler = make(optimizer)
    found = []
    for _ in range(n_updates):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found)


def ours(family, **fields):
    return Schedule.model_validate({"family": family, **fields})


@given(lr=rates, gamma=st.floats(0.01, 1), step_size=st.integers(1, 50), horizon=horizons)
def test_step_is_steplr(lr, gamma, step_size, horizon):
    schedule = ours("step", initial_lr=lr, decay_rate=gamma, step_size=step_size, updates=horizon, eval_every=1)
    wanted = torchs(lambda o: lr_scheduler.StepLR(o, step_size, gamma), lr, horizon)
    np.testing.assert_allclose(schedule.lr_table(), wanted, rtol=1e-13 * horizon, atol=1e-300)


@given(lr=rates, gamma=st.floats(0.1, 1), epochs=st.integers(1, 60), per_epoch=st.integers(1, 20))
def test_exponential_is_exponentiallr_where_torch_steps_once_an_epoch(lr, gamma, epochs, per_epoch):
    schedule = ours("exponential", initial_lr=lr, decay_rate=gamma, epochs=epochs)
    wanted = torchs(lambda o: lr_scheduler.ExponentialLR(o, gamma), lr, epochs)
    np.testing.assert_allclose(schedule.lr_table(per_epoch)[::per_epoch], wanted, rtol=1e-13 * epochs, atol=1e-300)


@given(lr=rates, factor=st.floats(0, 1), horizon=horizons)
def test_cosine_is_cosineannealinglr(lr, factor, horizon):
    schedule = ours("cosine", initial_lr=lr, final_factor=factor, updates=horizon, eval_every=1)
    wanted = torchs(lambda o: lr_scheduler.CosineAnnealingLR(o, horizon, eta_min=factor * lr), lr, horizon)
    np.testing.assert_allclose(schedule.lr_table(), wanted, rtol=1e-9, atol=1e-12 * lr)


@given(lr=rates, horizon=horizons)
def test_constant_is_constantlr(lr, horizon):
    schedule = ours("constant", initial_lr=lr, updates=horizon, eval_every=1)
    assert (schedule.lr_table() == torchs(lambda o: lr_scheduler.ConstantLR(o, factor=1.0), lr, horizon)).all()


@given(lr=rates, start=st.floats(0.001, 1), warmup=st.integers(1, 100), after=st.integers(1, 50))
def test_linear_warmup_is_linearlr(lr, start, warmup, after):
    schedule = ours("constant", initial_lr=lr, warmup=warmup, warmup_start=start, updates=warmup + after, eval_every=1)
    wanted = torchs(lambda o: lr_scheduler.LinearLR(o, start, 1.0, total_iters=warmup), lr, warmup + after)
    np.testing.assert_allclose(schedule.lr_table(), wanted, rtol=1e-11, atol=1e-300)


@given(lr=rates, start=st.floats(0.001, 1), warmup=st.integers(1, 50), gamma=st.floats(0.1, 1), step=st.integers(1, 20))
def test_warmup_then_step_is_torchs_sequence(lr, start, warmup, gamma, step):
    schedule = ours(
        "step", initial_lr=lr, decay_rate=gamma, step_size=step, warmup=warmup, warmup_start=start,
        updates=warmup + 60, eval_every=1,
    )  # fmt: skip
    ramp = torchs(lambda o: lr_scheduler.LinearLR(o, start, 1.0, total_iters=warmup), lr, warmup)
    decay = torchs(lambda o: lr_scheduler.StepLR(o, step, gamma), lr, 60)
    np.testing.assert_allclose(schedule.lr_table(), np.concatenate([ramp, decay]), rtol=1e-11, atol=1e-300)


@given(lr=rates, gamma=st.floats(0.01, 1), at=st.sets(st.integers(1, 60), min_size=1, max_size=5), horizon=horizons)
def test_multistep_is_multisteplr(lr, gamma, at, horizon):
    told = {"decay_rate": gamma, "milestones": sorted(at), "updates": horizon, "eval_every": 1}
    wanted = torchs(lambda o: lr_scheduler.MultiStepLR(o, sorted(at), gamma), lr, horizon)
    np.testing.assert_allclose(ours("multistep", initial_lr=lr, **told).lr_table(), wanted, rtol=1e-12, atol=1e-300)


@given(lr=rates, factor=st.floats(0.01, 1), horizon=horizons)
def test_linear_is_linearlr(lr, factor, horizon):
    schedule = ours("linear", initial_lr=lr, final_factor=factor, updates=horizon, eval_every=1)
    wanted = torchs(lambda o: lr_scheduler.LinearLR(o, 1.0, factor, total_iters=horizon), lr, horizon + 3)
    np.testing.assert_allclose(schedule.lr(np.arange(horizon + 3)), wanted, rtol=1e-10)


@given(lr=rates, power=st.floats(0.1, 5), horizon=horizons)
def test_polynomial_is_polynomiallr(lr, power, horizon):
    schedule = ours("polynomial", initial_lr=lr, power=power, updates=horizon, eval_every=1)
    wanted = torchs(lambda o: lr_scheduler.PolynomialLR(o, total_iters=horizon, power=power), lr, horizon + 3)
    np.testing.assert_allclose(schedule.lr(np.arange(horizon + 3)), wanted, rtol=1e-9, atol=1e-12 * lr)


@given(lr=rates, factor=st.floats(0, 1), cycle=st.integers(1, 40), growth=st.integers(1, 3), horizon=horizons)
def test_cosine_restarts_is_cosineannealingwarmrestarts(lr, factor, cycle, growth, horizon):
    told = {"cycle": cycle, "cycle_growth": growth, "final_factor": factor, "updates": horizon, "eval_every": 1}
    make = lr_scheduler.CosineAnnealingWarmRestarts
    wanted = torchs(lambda o: make(o, cycle, growth, eta_min=factor * lr), lr, horizon)
    table = ours("cosine_restarts", initial_lr=lr, **told).lr_table()
    np.testing.assert_allclose(table, wanted, rtol=1e-9, atol=1e-12 * lr)


@given(
    lr=rates, factor=st.floats(0, 0.9), up=st.integers(1, 40), down=st.integers(1, 40),
    mode=st.sampled_from([("triangular", 1.0), ("triangular2", 0.5)]), after=st.integers(1, 150),
)  # fmt: skip
def test_cyclic_after_its_first_rise_as_a_warmup_is_cycliclr(lr, factor, up, down, mode, after):
    cycle, (name, height) = up + down, mode
    rise = up / cycle
    if not 0.01 <= rise <= 0.99:
        return
    schedule = ours(
        "cyclic", initial_lr=lr, final_factor=factor, cycle=cycle, rise=rise, peak_decay=height, warmup=up,
        warmup_start=factor, updates=up + after, eval_every=1,
    )  # fmt: skip
    make = lr_scheduler.CyclicLR
    wanted = torchs(lambda o: make(o, factor * lr, lr, up, down, mode=name, cycle_momentum=False), lr, up + after)
    np.testing.assert_allclose(schedule.lr_table(), wanted, rtol=1e-9, atol=1e-10 * lr)


@given(lr=rates, factor=st.floats(0, 0.9), half=st.integers(1, 20), gamma=st.floats(0.9, 1), after=st.integers(1, 90))
def test_cyclic_with_an_exponential_envelope_is_exp_range_from_the_first_peak_on(lr, factor, half, gamma, after):
    base, cycle = factor * lr, 2 * half
    peak = base + (lr - base) * gamma**half
    schedule = ours(
        "cyclic", initial_lr=peak, final_factor=base / peak, cycle=cycle, peak_decay=gamma**cycle,
        envelope="exponential", updates=after, eval_every=1,
    )  # fmt: skip
    make = lr_scheduler.CyclicLR
    wanted = torchs(
        lambda o: make(o, base, lr, half, half, mode="exp_range", gamma=gamma, cycle_momentum=False), lr, half + after
    )
    np.testing.assert_allclose(schedule.lr_table(), wanted[half:], rtol=1e-9, atol=1e-10 * lr)


@pytest.mark.parametrize(("strategy", "shape"), [("cos", "cosine"), ("linear", "linear")])
@given(lr=rates, div=st.floats(1, 100), final=st.floats(1, 1e5), warmup=st.integers(1, 60), after=st.integers(1, 90))
def test_one_cycle_is_onecyclelr(strategy, shape, lr, div, final, warmup, after):
    total = warmup + after + 1
    schedule = ours(
        "one_cycle", initial_lr=lr, warmup=warmup, warmup_shape=shape, warmup_start=1 / div, decay_shape=shape,
        final_factor=1 / (div * final), updates=total - 1, eval_every=1,
    )  # fmt: skip
    wanted = torchs(
        lambda o: lr_scheduler.OneCycleLR(
            o, lr, total, pct_start=(warmup + 1) / total, anneal_strategy=strategy, div_factor=div,
            final_div_factor=final, cycle_momentum=False,
        ),
        lr, total,
    )  # fmt: skip
    np.testing.assert_allclose(schedule.lr(np.arange(total)), wanted, rtol=1e-9, atol=1e-10 * lr)


@given(lr=rates, start=st.floats(0.01, 0.5), up=st.integers(1, 40), last=st.integers(1, 40))
def test_three_phases_are_piecewise_after_a_warmup(lr, start, up, last):
    total = 2 * up + last + 1
    schedule = ours(
        "piecewise", initial_lr=lr, warmup=up, warmup_start=start, milestones=[up, up + last],
        factors=[start, start / 10], updates=total - 1, eval_every=1,
    )  # fmt: skip
    wanted = torchs(
        lambda o: lr_scheduler.OneCycleLR(
            o, lr, total, pct_start=(up + 1) / total, anneal_strategy="linear", div_factor=1 / start,
            final_div_factor=10, cycle_momentum=False, three_phase=True,
        ),
        lr, total,
    )  # fmt: skip
    np.testing.assert_allclose(schedule.lr(np.arange(total)), wanted, rtol=1e-9, atol=1e-10 * lr)
