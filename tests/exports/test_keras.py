"""What is written for Keras gives the schedule's rate at every update, within float32, and is saved and loaded.

On the backend that KERAS_BACKEND names, torch where it names none; `make test-tensorflow` names TensorFlow.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.exports import export
from lrsearch.schedules import CLOSED_FORMS, WARMUPS, Schedule

from .players import FLOAT32, HARD, MAX_UPDATES, SETS, assert_agree, executed, expected, framework, some

WARM = [{}, {"warmup": 2}, {"warmup": 2, "warmup_shape": "exponential"}]


@pytest.fixture(scope="module", autouse=True)
def keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return framework("keras")


def rates_at(names, updates):
    """The rate at every update: at once where the closed form is written, one by one where Keras's own class is."""
    from keras import ops

    learning_rate = names["learning_rate"]
    if "LearningRate" in names:
        rates = learning_rate(ops.convert_to_tensor(np.asarray(updates, np.int32)))
        return np.broadcast_to([float(rate) for rate in rates] if len(rates.shape) else float(rates), np.shape(updates))
    return np.array([float(learning_rate(ops.convert_to_tensor(int(update), "int32"))) for update in updates])


@pytest.mark.parametrize("shape", WARMUPS)
@pytest.mark.parametrize("family", CLOSED_FORMS)
@settings(max_examples=SETS)
@given(data=st.data())
def test_the_text_gives_the_rate_of_every_update(family, shape, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, shape, MAX_UPDATES))
    names = executed(export(schedule, "keras", updates_per_epoch=per_epoch).text)
    rates = expected(schedule, per_epoch)
    assert_agree(rates_at(names, np.arange(len(rates))), rates, FLOAT32)


@pytest.mark.parametrize("hard", HARD)
def test_float32_loses_no_digits(hard):
    schedule = Schedule.model_validate(hard)
    rates = expected(schedule, None)
    names = executed(export(schedule, "keras").text)
    assert_agree(rates_at(names, np.arange(len(rates))), rates, FLOAT32)


@pytest.mark.parametrize("warmup", WARM)
@pytest.mark.parametrize("family", CLOSED_FORMS)
def test_it_drives_an_optimizer_and_is_loaded_as_it_was_saved(family, warmup, keras):
    schedule = some(family, epochs=5, **warmup)
    names = executed(export(schedule, "keras", updates_per_epoch=3).text)
    variable = keras.Variable(0.0)
    optimizer = names["optimizer"]
    optimizer.build([variable])
    rates = expected(schedule, 3)
    seen = []
    for _ in rates:
        before = float(keras.ops.stop_gradient(variable.value))
        optimizer.apply([keras.ops.convert_to_tensor(-1.0)])
        seen.append(float(keras.ops.stop_gradient(variable.value)) - before)
        variable.assign(0.0)
    assert_agree(seen, rates, FLOAT32)
    saved = json.loads(json.dumps(keras.optimizers.schedules.serialize(names["learning_rate"])))
    loaded = keras.optimizers.schedules.deserialize(saved)
    assert type(loaded) is type(names["learning_rate"])
    for update in (0, 1, 7, 15, 20):
        assert float(loaded(update)) == float(names["learning_rate"](update))


@pytest.mark.parametrize("warmup", [0, 1_000_003])
def test_breakpoints_beyond_float32_s_whole_numbers_are_exact(warmup):
    step = 3_333_333
    told = {"initial_lr": 0.1, "decay_rate": 0.5, "step_size": step, "updates": 10**9, "eval_every": 1000}
    schedule = Schedule.model_validate({"family": "step", "warmup": warmup, "warmup_shape": "cosine", **told})
    names = executed(export(schedule, "keras").text)
    updates = (warmup + step * np.arange(1, 20)[:, None] + np.array([-1, 0])).ravel()
    rates = rates_at(names, updates)
    assert_agree(rates, schedule.lr(updates), FLOAT32)
    assert (rates[1::2] < 0.6 * rates[::2]).all()


def fitted(keras, learning_rate, n_updates):
    """The rates that ``Model.fit`` trains with."""
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(learning_rate), "mse")
    seen = []
    look = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs=None: seen.append(float(model.optimizer.learning_rate))
    )
    x, y = np.ones((n_updates, 2), np.float32), np.ones((n_updates, 1), np.float32)
    model.fit(x, y, batch_size=1, verbose=0, callbacks=[look])
    return seen


@pytest.mark.filterwarnings("ignore")  # Keras on a numpy newer than it
def test_fit_trains_with_it(keras):
    schedule = some("cosine", epochs=4, warmup=1)
    names = executed(export(schedule, "keras", updates_per_epoch=3).text)
    assert_agree(fitted(keras, names["learning_rate"], 17), expected(schedule, 3)[:17], FLOAT32)


SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.modules["lrsearch"] = None
import jax, keras
answers = []
for text in json.load(sys.stdin):
    names = {"__name__": "pasted"}
    exec(text, names)
    optimizer = names["optimizer"]
    weight = keras.Variable(0.0)
    optimizer.build([weight])
    state, rates = [variable.value for variable in optimizer.variables], []
    update = jax.jit(lambda state: optimizer.stateless_apply(state, [jax.numpy.float32(-1)], [jax.numpy.float32(0)]))
    for _ in range(17):
        (rate,), state = update(state)
        rates.append(float(rate))
    answers.append(rates)
print(json.dumps({"backend": keras.backend.backend(), "answers": answers}))
"""


def test_it_is_compiled_by_jax_and_runs_without_lrsearch():
    framework("jax")
    schedules = [some(family, epochs=4, **warmup) for family in CLOSED_FORMS for warmup in (WARM[2], WARM[0])]
    told = json.dumps([export(schedule, "keras", updates_per_epoch=3).text for schedule in schedules])
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=told, capture_output=True, text=True, check=False, env=environment
    )
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    assert answer["backend"] == "jax"
    for schedule, rates in zip(schedules, answer["answers"], strict=True):
        assert_agree(rates, expected(schedule, 3)[:17], FLOAT32)


def test_more_updates_than_int32_counts_are_refused():
    endless = Schedule.model_validate({"family": "constant", "initial_lr": 0.1, "updates": 2**31, "eval_every": 10})
    with pytest.raises(InvalidInput, match="2,147,483,648"):
        export(endless, "keras")


@pytest.mark.parametrize("envelope", ["step", "exponential"])
@pytest.mark.parametrize("rise", [0.01, 0.99])
def test_a_narrow_triangle_keeps_its_digits(rise, envelope):
    told = {"cycle": 700, "rise": rise, "envelope": envelope, "peak_decay": 0.7, "updates": 3000, "eval_every": 100}
    schedule = Schedule.model_validate({"family": "cyclic", "initial_lr": 0.1, **told})
    updates = np.arange(3001)
    assert_agree(rates_at(executed(export(schedule, "keras").text), updates), schedule.lr(updates), FLOAT32)
