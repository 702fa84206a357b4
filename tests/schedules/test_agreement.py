"""Agreement with torch's own schedulers, stepped as torch means them to be."""

from __future__ import annotations

import numpy as np
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
