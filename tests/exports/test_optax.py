"""What is written for Optax gives the schedule's rate at every update, within float32."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.exports import export
from lrsearch.schedules import CLOSED_FORMS, WARMUPS, Schedule

from .players import BEYOND, FLOAT32, HARD, MAX_UPDATES, SETS, assert_agree, executed, expected, framework, some

N_UPDATES = MAX_UPDATES + BEYOND + 1


@pytest.fixture(scope="module", autouse=True)
def jax():
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    return framework("jax", "optax")


def rates_at(learning_rate, updates):
    import jax.numpy as jnp

    return np.broadcast_to(np.asarray(learning_rate(jnp.asarray(updates, jnp.int32))), np.shape(updates))


@pytest.mark.parametrize("shape", WARMUPS)
@pytest.mark.parametrize("family", CLOSED_FORMS)
@settings(max_examples=SETS)
@given(data=st.data())
def test_the_text_gives_the_rate_of_every_update(family, shape, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, shape, MAX_UPDATES))
    learning_rate = executed(export(schedule, "optax", updates_per_epoch=per_epoch).text)["learning_rate"]
    updates = np.arange(N_UPDATES)  # one length for all, so that JAX compiles once
    assert_agree(rates_at(learning_rate, updates), schedule.lr(updates, per_epoch), FLOAT32)


@pytest.mark.parametrize("hard", HARD)
def test_float32_loses_no_digits(hard):
    schedule = Schedule.model_validate(hard)
    rates = expected(schedule, None)
    learning_rate = executed(export(schedule, "optax").text)["learning_rate"]
    assert_agree(rates_at(learning_rate, np.arange(len(rates))), rates, FLOAT32)


@pytest.mark.parametrize("warmup", [{}, {"warmup": 2}, {"warmup": 2, "warmup_shape": "exponential"}])
@pytest.mark.parametrize("family", CLOSED_FORMS)
def test_it_is_traced_and_drives_an_optimizer(family, warmup, jax):
    import jax.numpy as jnp
    import optax

    schedule = some(family, epochs=10, **warmup)
    names = executed(export(schedule, "optax", updates_per_epoch=3).text)
    optimizer = names["optimizer"]
    assert isinstance(optimizer, optax.GradientTransformation)
    weight = jnp.float32(0.0)
    state = optimizer.init(weight)

    @jax.jit
    def update(state):
        change, state = optimizer.update(jnp.float32(-1.0), state)
        return change, state

    seen = []
    for _ in range(36):
        change, state = update(state)
        seen.append(float(change))
    assert_agree(seen, expected(schedule, 3), FLOAT32)


@pytest.mark.parametrize("warmup", [0, 1_000_003])
def test_breakpoints_beyond_float32_s_whole_numbers_are_exact(warmup, jax):
    step = 3_333_333
    schedule = Schedule.model_validate(
        {
            "family": "step",
            "initial_lr": 0.1,
            "decay_rate": 0.5,
            "step_size": step,
            "updates": 10**9,
            "eval_every": 1000,
        }
        | {"warmup": warmup, "warmup_shape": "cosine"}
    )
    learning_rate = executed(export(schedule, "optax").text)["learning_rate"]
    updates = warmup + step * np.arange(1, 200)[:, None] + np.array([-1, 0])
    for lr in (learning_rate, jax.jit(learning_rate)):
        assert_agree(rates_at(lr, updates), schedule.lr(updates), FLOAT32)
        ratios = rates_at(lr, updates[:20])
        assert (ratios[:, 1] < 0.6 * ratios[:, 0]).all()


def test_more_updates_than_int32_counts_are_refused():
    endless = Schedule.model_validate({"family": "constant", "initial_lr": 0.1, "updates": 2**31, "eval_every": 10})
    with pytest.raises(InvalidInput, match="2,147,483,648"):
        export(endless, "optax")


@pytest.mark.parametrize("envelope", ["step", "exponential"])
@pytest.mark.parametrize("rise", [0.01, 0.99])
def test_a_narrow_triangle_keeps_its_digits(rise, envelope):
    told = {"cycle": 700, "rise": rise, "envelope": envelope, "peak_decay": 0.7, "updates": 3000, "eval_every": 100}
    schedule = Schedule.model_validate({"family": "cyclic", "initial_lr": 0.1, **told})
    updates = np.arange(3001)
    assert_agree(
        rates_at(executed(export(schedule, "optax").text)["learning_rate"], updates), schedule.lr(updates), FLOAT32
    )
