"""A staircase of exponential decay in Keras, tuned through a running service.

The classic listing: 1,000 made-up examples of 20 numbers, 64-32-1, Adam, and

    keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=100, decay_rate=0.96, staircase=True)

That schedule is trial 0; lrsearch proposes others, this loop trains them and reports. In one terminal, then another:

    lrsearch serve --workers 0
    python examples/keras_exponential.py

KERAS_BACKEND chooses tensorflow, torch or jax. From several terminals at once it searches as many times as fast.
"""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

import lrsearch

BATCH_SIZE = 32
UPDATES_PER_EPOCH = 25  # 800 of the 1,000 examples are trained on
STUDY = {
    "name": "keras-exponential",
    "task": "external",
    "updates": 40 * UPDATES_PER_EPOCH,
    "eval_every": UPDATES_PER_EPOCH,
    "space": {
        "family": "step",  # what Keras calls ExponentialDecay with a staircase
        "initial_lr": {"low": 1e-4, "high": 1e-1, "log": True},
        "decay_rate": {"low": 0.3, "high": 1.0},
        "step_size": {"low": 25, "high": 250},  # updates: Keras's decay_steps
    },
    "objective": {"metric": "val_loss", "direction": "minimize"},
    "sampler": {"name": "tpe", "parallel": 4},
    "pruner": "median",
    "budget": {"trials": 16},
    "baselines": [{"family": "step", "initial_lr": 0.1, "decay_rate": 0.96, "step_size": 100}],
}

Rate = float | keras.optimizers.schedules.LearningRateSchedule
draw = np.random.default_rng(0)
x = draw.random((1000, 20), dtype="float32")
y = (x.sum(axis=1) > 10).astype("float32")


def fit(learning_rate: Rate, seed: int, epochs: int, callbacks: Sequence[keras.callbacks.Callback] = ()) -> float:
    """Train the model of the listing; the validation loss at the end."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Input((20,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    optimizer = keras.optimizers.Adam(learning_rate)
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(
        x, y, batch_size=BATCH_SIZE, validation_split=0.2, epochs=epochs, callbacks=list(callbacks), verbose=0
    )
    return history.history["val_loss"][-1]


def main() -> None:
    """Search, then train with the best schedule as Keras's own."""
    with lrsearch.Client() as client:  # LRSEARCH_SERVER, or this machine
        client.create(STUDY)
        for trial in client.trials("keras-exponential"):
            with trial:
                loss = fit(1.0, trial.seed, trial.epochs, [lrsearch.callbacks.Keras(trial)])
            print(f"trial {trial.number}: {trial.params}, val_loss {loss:.4f}")

        best = client.best("keras-exponential")
        written = Path("best_schedule.py")
        written.write_text(client.export("keras-exponential", target="keras").text)
        learning_rate = runpy.run_path(str(written))["learning_rate"]
        again = fit(learning_rate, 0, STUDY["updates"] // UPDATES_PER_EPOCH)
        print(f"the listing's schedule: val_loss {client.trial('keras-exponential', 0).value:.4f}")
        print(f"the best, trial {best.trial}: val_loss {best.value:.4f}; again, from {written}: {again:.4f}")


if __name__ == "__main__":
    main()
