"""Agreement with the schedules of optax, Keras, timm and transformers, under the names they give to the same things."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from lrsearch.schedules import Schedule

from ..exports.players import FLOAT32, framework

LR, HORIZON, WARMUP = 0.3, 60, 7
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("KERAS_BACKEND", "torch")


def ours(family, **told):
    told = {"family": family, "initial_lr": LR, "updates": HORIZON, "eval_every": 10} | told
    return Schedule.model_validate(told).lr(np.arange(HORIZON + 1))


def optax_rates(make):
    found = make(framework("optax"))
    return np.array([float(found(update)) for update in range(HORIZON + 1)])


def keras_rates(make):
    found = make(framework("keras").optimizers.schedules)
    return np.array([float(found(update)) for update in range(HORIZON + 1)])


def stepped(make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler, found = make(optimizer), []
    for _ in range(HORIZON + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found)


def transformers_rates(make):
    library = framework("transformers")
    return stepped(lambda optimizer: make(library, optimizer))


def timm_rates(**told):
    scheduler_class = framework("timm.scheduler.cosine_lr").CosineLRScheduler
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = scheduler_class(optimizer, warmup_prefix=True, cycle_limit=1000, **told)
    found = []
    for update in range(HORIZON + 1):
        scheduler.step(update)
        found.append(optimizer.param_groups[0]["lr"])
    return np.array(found)


SAME = {
    "optax linear": lambda: (
        ours("linear", final_factor=0.1),
        optax_rates(lambda o: o.linear_schedule(LR, 0.1 * LR, HORIZON)),
    ),
    "optax polynomial": lambda: (
        ours("polynomial", power=1.7, final_factor=0.1),
        optax_rates(lambda o: o.polynomial_schedule(LR, 0.1 * LR, 1.7, HORIZON)),
    ),
    "optax piecewise constant": lambda: (
        ours("multistep", milestones=[10, 30], decay_rate=0.2),
        optax_rates(lambda o: o.piecewise_constant_schedule(LR, {10: 0.2, 30: 0.2})),
    ),
    "optax piecewise interpolate": lambda: (
        ours("piecewise", milestones=[10, 30], factors=[0.5, 0.05]),
        optax_rates(lambda o: o.piecewise_interpolate_schedule("linear", LR, {10: 0.5, 30: 0.1})),
    ),
    "keras piecewise constant": lambda: (
        ours("piecewise", milestones=[10, 30], factors=[0.5, 0.05], between="step"),
        keras_rates(lambda k: k.PiecewiseConstantDecay([9, 29], [LR, 0.5 * LR, 0.05 * LR])),
    ),
    "keras inverse time": lambda: (
        ours("inverse_time", timescale=10),
        keras_rates(lambda k: k.InverseTimeDecay(LR, decay_steps=4, decay_rate=0.4)),
    ),
    "keras polynomial": lambda: (
        ours("polynomial", power=2, final_factor=0.1),
        keras_rates(lambda k: k.PolynomialDecay(LR, HORIZON, 0.1 * LR, power=2)),
    ),
    "keras restarts": lambda: (
        ours("cosine_restarts", cycle=8, cycle_growth=2, peak_decay=0.6, final_factor=0.1)[:HORIZON],
        keras_rates(lambda k: k.CosineDecayRestarts(LR, 8, t_mul=2, m_mul=0.6, alpha=0.1))[:HORIZON],
    ),
    "timm cycles": lambda: (
        ours("cosine_restarts", cycle=8, cycle_growth=2, peak_decay=0.6, warmup=WARMUP, warmup_start=0.1)[:HORIZON],
        timm_rates(t_initial=8, cycle_mul=2, cycle_decay=0.6, lr_min=0, warmup_t=WARMUP, warmup_lr_init=0.1 * LR)[
            :HORIZON
        ],
    ),
    "transformers inverse sqrt": lambda: (
        ours("inverse_sqrt", warmup=WARMUP, warmup_start=0),
        transformers_rates(lambda t, o: t.get_inverse_sqrt_schedule(o, WARMUP)),
    ),
    "transformers inverse sqrt, own timescale": lambda: (
        ours("inverse_sqrt", warmup=WARMUP, warmup_start=0, timescale=20),
        transformers_rates(lambda t, o: t.get_inverse_sqrt_schedule(o, WARMUP, timescale=20)),
    ),
    "transformers linear": lambda: (
        ours("linear", warmup=WARMUP, warmup_start=0),
        transformers_rates(lambda t, o: t.get_linear_schedule_with_warmup(o, WARMUP, HORIZON)),
    ),
    "transformers polynomial": lambda: (
        ours("polynomial", power=2, final_factor=0.1, warmup=WARMUP, warmup_start=0),
        transformers_rates(
            lambda t, o: t.get_polynomial_decay_schedule_with_warmup(o, WARMUP, HORIZON, lr_end=0.1 * LR, power=2)
        ),
    ),
} | {
    f"transformers wsd {shape}": lambda shape=shape: (
        ours("wsd", decay_length=20, decay_shape=shape, final_factor=0.1, warmup=WARMUP, warmup_start=0.1),
        transformers_rates(
            lambda t, o: t.get_wsd_schedule(
                o, WARMUP, 20, num_training_steps=HORIZON, decay_type=shape, min_lr_ratio=0.1
            )
        ),
    )
    for shape in ("linear", "cosine", "1-sqrt")
}
"""Our rates and theirs, at updates 0..H (below H where a cycle would begin there)."""


@pytest.mark.parametrize("name", SAME)
def test_other_libraries_agree_where_the_docstring_says_so(name):
    mine, theirs = SAME[name]()
    assert np.abs(mine - theirs).max() <= FLOAT32 * LR * (1 if "timm" in name or "transformers" in name else 4)
