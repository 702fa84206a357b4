"""A database with a study of many finished trials, written as the service itself would have stored them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from lrsearch.schedules import Schedule
from lrsearch.service import Service
from lrsearch.store import Arrival, Store
from lrsearch.study import EpochCounts, Point, StudySpec, Trial

EPOCHS = 2
CHUNK = 2000


def spec(name: str, *, sampler: str = "tpe", epochs: int = EPOCHS, trials: int = 1_000_000) -> StudySpec:
    """A study that nobody trains but the benchmark."""
    return StudySpec.read(
        {
            "name": name,
            "task": "external",
            "epochs": epochs,
            "space": {
                "family": "step",
                "initial_lr": {"low": 1e-4, "high": 1.0, "log": True},
                "decay_rate": {"low": 0.1, "high": 0.9},
                "step_size": 1,
            },
            "sampler": {"name": sampler, "parallel": 8} if sampler == "tpe" else sampler,
            "objective": {"metric": "val_loss", "direction": "minimize"},
            "budget": {"trials": trials},
        }
    )


def loss(initial_lr: float, decay_rate: float) -> float:
    """What a trial of these parameters comes to."""
    return float((np.log10(initial_lr) + 2) ** 2 + (decay_rate - 0.5) ** 2)


def fill(url: str, study: str, n_trials: int) -> None:
    """Make ``study`` with ``n_trials`` completed trials, each with the points of its epochs."""
    store = Store(url)
    store.migrate()
    Service(store).create(spec(study))
    draw = np.random.default_rng(0)
    begun = datetime.now(UTC) - timedelta(days=1)
    for first in range(0, n_trials, CHUNK):
        numbers = range(first, min(first + CHUNK, n_trials))
        trials = [finished(n, 10 ** draw.uniform(-4, 0), draw.uniform(0.1, 0.9), begun) for n in numbers]
        with store.transaction() as tx:
            tx.trials.add(study, trials)
            tx.points.add(study, [arrival(trial) for trial in trials])
    store.close()


def finished(number: int, initial_lr: float, decay_rate: float, begun: datetime) -> Trial:
    """A trial that has completed."""
    params: dict[str, Any] = {"initial_lr": float(initial_lr), "decay_rate": float(decay_rate)}
    value = loss(initial_lr, decay_rate)
    at = begun + timedelta(milliseconds=100 * number)
    return Trial(
        number=number,
        state="completed",
        value=value,
        values=(value,),
        metrics={"val_loss": value},
        params=params,
        schedule=Schedule.model_validate({"family": "step", "step_size": 1, "epochs": EPOCHS, **params}),
        epochs=EpochCounts(trained=EPOCHS),
        attempts=1,
        heard=1,
        worker="filled",
        seconds=0.2,
        created_at=at,
        started_at=at,
        finished_at=at + timedelta(seconds=1),
    )


def points_of(value: float, epochs: int) -> Sequence[Point]:
    """What a trial of this value reports."""
    return [
        Point(epoch=epoch, seed=0, seconds=0.1, metrics={"val_loss": value + epochs - epoch, "train_loss": value})
        for epoch in range(1, epochs + 1)
    ]


def arrival(trial: Trial) -> Arrival:
    """Its points, to be stored."""
    points = points_of(trial.values[0] or 0.0, EPOCHS)
    values = [point.metrics["val_loss"] for point in points]
    return Arrival(number=trial.number, purpose="trial", attempt=1, points=points, values=values, new=True)
