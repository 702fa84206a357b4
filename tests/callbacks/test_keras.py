"""Keras trains a trial as its schedule says, on the backend that KERAS_BACKEND names (torch where it names none)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

import lrsearch
from lrsearch.errors import InvalidInput
from lrsearch.external import trials
from lrsearch.schedules import FAMILIES

from .loops import run_example

PER_EPOCH = 6

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras on a numpy newer than it


@pytest.fixture(scope="module", autouse=True)
def keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras", reason="pip install -c constraints.txt -e '.[frameworks]'")


def walker(keras, learning_rate=1.0, **compiled):
    """A model whose only weight grows by the rate at every update of SGD."""
    inputs = keras.layers.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs))
    optimizer = compiled.pop("optimizer", None) or keras.optimizers.SGD(learning_rate)
    model.compile(optimizer, loss=lambda _, out: -keras.ops.mean(out, axis=-1), **compiled)
    return model


def walk(keras, trial, model=None, *, epochs=None, n=PER_EPOCH, callbacks=(), **told):
    """Train a trial; where the weight stood after each batch."""
    model = model or walker(keras)
    stood = []
    look = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs=None: stood.append(float(look.model.get_weights()[0].item()))
    )
    ones = np.ones((n, 1), np.float32)
    callback = lrsearch.callbacks.Keras(trial, **told)
    epochs = trial.epochs if epochs is None else epochs
    model.fit(
        ones,
        ones,
        batch_size=1,
        validation_data=(ones, ones),
        initial_epoch=trial.start,
        epochs=epochs,
        callbacks=[callback, look, *callbacks],
        verbose=0,
    )
    return np.array(stood)


def assert_rates(stood, rates):
    """The weight has climbed by every rate, in float32."""
    assert len(stood) == len(rates)
    assert np.abs(stood - np.cumsum(rates)).max() <= 1e-6 * np.sum(rates)


def steps(external, **fields):
    space = {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 0.5, "warmup": 1}
    return external(space=space, sampler="grid", **fields)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_trains_with_the_rate_of_every_update(keras, service, external, family):
    """What the loss does here is known: it falls throughout, and metric-driven families go on as they are."""
    lists = {"milestones": {"value": ["30%", "60%"]}, "factors": {"value": [0.5, 0.2]}}
    own = {name: value for name, value in lists.items() if name in FAMILIES[family].parameters()}
    service.create(external(space={"family": family, "initial_lr": 0.1, **own}, budget={"trials": 1}))
    for trial in trials(service, "own"):
        with trial:
            stood = walk(keras, trial)
    schedule, history = trial.schedule, trial.history[:-1]
    assert_rates(stood, schedule.lr(np.arange(5 * PER_EPOCH), PER_EPOCH, history=history))
    assert service.trial("own", 0).state == "completed"


def test_it_reports_keras_metrics_by_their_names_here(keras, service, external):
    service.create(steps(external))
    model = walker(keras, metrics=["mae"])
    for trial in trials(service, "own"):
        with trial:
            stood = walk(keras, trial, model)
    curve = service.curve("own", 0)
    assert [point.epoch for point in curve] == [1, 2, 3, 4, 5]
    assert {name for point in curve for name in point.metrics} == {"train_loss", "train_mae", "val_loss", "val_mae"}
    ends = stood[PER_EPOCH - 1 :: PER_EPOCH]
    assert [point.metrics["val_loss"] for point in curve] == pytest.approx(-ends, rel=1e-6)


def test_a_horizon_in_updates_is_counted_in_intervals(keras, service, external):
    space = {"family": "cosine", "initial_lr": 0.1, "warmup": 9}
    service.create(external(epochs=None, updates=24, eval_every=6, space=space, budget={"trials": 2}))
    loop = trials(service, "own")
    with next(loop) as trial:
        assert_rates(walk(keras, trial), trial.schedule.lr(np.arange(24)))
    with pytest.raises(InvalidInput, match="eval_every = 6"), next(loop) as trial:
        walk(keras, trial, n=7)
    assert [row.state for row in service.trials("own").items] == ["completed", "failed"]


def test_accumulated_gradients_are_one_update(keras, service, external):
    service.create(steps(external))
    model = walker(keras, optimizer=keras.optimizers.SGD(1.0, gradient_accumulation_steps=3))
    for trial in trials(service, "own"):
        with pytest.raises(InvalidInput, match="must divide"):
            walk(keras, trial, model, n=7)
        with trial:
            stood = walk(keras, trial, model, n=3 * PER_EPOCH)
    assert_rates(stood[2::3], trial.schedule.lr(np.arange(5 * PER_EPOCH), PER_EPOCH))


def test_it_stops_when_the_service_says_so(keras, service, external):
    service.create(steps(external))

    def cancel(epoch, logs):
        if epoch == 1:
            service.cancel_trial("own", 0)

    first = keras.callbacks.LambdaCallback(on_epoch_begin=cancel)
    for trial in trials(service, "own"):
        with trial:
            stood = walk(keras, trial, callbacks=[first])
    assert len(stood) == 2 * PER_EPOCH
    assert service.trial("own", 0).state == "cancelled"


def test_it_ends_where_the_trial_ends(keras, service, external):
    service.create(steps(external))
    for trial in trials(service, "own"):
        with trial:
            assert len(walk(keras, trial, epochs=50)) == 5 * PER_EPOCH


def test_it_goes_on_from_a_checkpoint(keras, service, external):
    service.create(steps(external))
    model = walker(keras)
    loop = trials(service, "own")
    lost = next(loop)

    class Killed(Exception):
        pass

    def kill(epoch, logs):
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        walk(keras, lost, model, callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=kill)])
    loop.close()
    for again in trials(service, "own"):
        with again:
            again.resume(2)
            stood = walk(keras, again, model)
    rates = again.schedule.lr(np.arange(5 * PER_EPOCH), PER_EPOCH)
    assert_rates(stood, [*rates[: 2 * PER_EPOCH + 1].cumsum()[-1:], *rates[2 * PER_EPOCH + 1 :]])
    assert service.trial("own", 0).epochs.trained == 5


def endless(n):
    for _ in range(n):
        yield np.ones((1, 1), np.float32), np.ones((1, 1), np.float32)


@pytest.mark.parametrize(
    ("made", "law"),
    [
        (lambda keras: {"epochs": 1}, "epochs=trial.epochs"),
        (lambda keras: {"model": walker(keras, keras.optimizers.schedules.CosineDecay(0.1, 9))}, "with a number"),
        (lambda keras: {"model": walker(keras, lambda: 0.1)}, "with a number"),
        (lambda keras: {"model": walker(keras, steps_per_execution=2)}, "steps_per_execution"),
        (lambda keras: {"updates_per_epoch": PER_EPOCH - 1}, "5 updates, and the loop goes on"),
    ],
)
def test_what_cannot_be_the_trials_training_is_refused(keras, service, external, made, law):
    service.create(steps(external))
    trial = next(loop := trials(service, "own"))
    with pytest.raises((InvalidInput, ValueError), match=law):  # steps_per_execution: on torch by Keras itself
        walk(keras, trial, **made(keras))
    loop.close()


def test_data_of_unknown_length_need_the_updates_of_an_epoch(keras, service, external):
    service.create(steps(external))
    loop = trials(service, "own")
    model, trial = walker(keras), next(loop)
    callback = lrsearch.callbacks.Keras(trial)
    with pytest.raises(InvalidInput, match="give the callback `updates_per_epoch`"):
        model.fit(endless(PER_EPOCH), epochs=5, callbacks=[callback], verbose=0)
    with pytest.raises(InvalidInput, match="begin with"):
        walk(keras, trial, callbacks=[keras.callbacks.Callback()], epochs=5, model=Ahead(model))
    loop.close()


class Ahead:
    """A model that is always told to begin an epoch later."""

    def __init__(self, model):
        self.model = model

    def fit(self, *data, initial_epoch, **told):
        self.model.fit(*data, initial_epoch=initial_epoch + 1, **told)


def test_controls_beyond_the_rate_are_refused(service, external):
    service.create(external(space={"family": "cosine", "initial_lr": 0.1, "layer_decay": 0.5}, budget={"trials": 1}))
    trial = next(loop := trials(service, "own"))
    with pytest.raises(InvalidInput, match="layer_decay"):
        lrsearch.callbacks.Keras(trial)
    loop.close()


def test_a_trial_that_processes_share_is_not_trained_by_one_of_them_alone(keras, service, external):
    service.create(external(budget={"trials": 1}))
    trial = next(loop := trials(service, "own", rank=0, world=2, broadcast=lambda said: said))
    with pytest.raises(InvalidInput, match="2 processes share trial 0"):
        walk(keras, trial)
    loop.close()


def test_the_example_tunes_the_classic_listing_through_the_service(keras, service, tmp_path):
    cut = {"updates": 100, "budget": {"trials": 2}}
    listing, *_ = run_example("keras_exponential", service, tmp_path, **cut)
    its = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=100, decay_rate=0.96, staircase=True)
    wanted = [float(its(update)) for update in range(100)]
    assert listing.schedule.lr(np.arange(100)) == pytest.approx(wanted, rel=1e-6)


JAX = """
import json, sys, warnings
warnings.simplefilter("ignore")
import keras, numpy as np
import lrsearch
def train(trial):
    inputs = keras.layers.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs))
    model.compile(keras.optimizers.SGD(1.0), loss=lambda _, out: -keras.ops.mean(out, axis=-1))
    ones = np.ones((6, 1), np.float32)
    model.fit(ones, ones, batch_size=1, epochs=5, callbacks=[lrsearch.callbacks.Keras(trial)], verbose=0)
    print(json.dumps({"backend": keras.backend.backend(), "stood": float(model.get_weights()[0].item())}))
spec = json.loads(sys.argv[1])
lrsearch.run(spec, train)
"""


def test_jax_takes_every_rate_too(external, tmp_path):
    pytest.importorskip("jax")
    spec = steps(external, objective={"metric": "train_loss", "direction": "minimize"})
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", JAX, spec.model_dump_json(exclude_unset=True)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout.splitlines()[-1])
    schedule = lrsearch.Schedule.model_validate(
        {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 0.5, "warmup": 1, "epochs": 5}
    )
    assert answer == {"backend": "jax", "stood": pytest.approx(schedule.lr(np.arange(30), 6).sum(), rel=1e-5)}
