"""The least-squares objective, and studies run in memory as the service runs them."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lrsearch.schedules import Schedule
from lrsearch.search import Suggester
from lrsearch.space import Space
from lrsearch.study import Outcome, StudySpec, read_spec

EPOCHS, UPDATES_PER_EPOCH = 20, 10
SPECTRUM = 1 / np.arange(1, 33)
BATCH, EXAMPLES = 4, 1000


def least_squares(schedule: Schedule) -> float | None:
    """Expected loss of SGD on a noisy quadratic after the schedule; None where it diverges."""
    p = np.ones_like(SPECTRUM)
    noise = 1 / BATCH - 1 / EXAMPLES
    for lr in schedule.lr_table(UPDATES_PER_EPOCH):
        p = (1 - lr * SPECTRUM) ** 2 * p + lr**2 * noise * SPECTRUM * (SPECTRUM @ p)
        if not p.max() < 1e6:
            return None
    return float(SPECTRUM @ p / 2)


def study_spec(sampler: str, seed: int = 0, **changes: Any) -> StudySpec:
    """A space with a divergence cliff inside: rates above about 2 are lost."""
    space = {
        "family": "step",
        "initial_lr": {"low": 1e-3, "high": 10, "log": True},
        "decay_rate": {"low": 0.05, "high": 0.95},
        "step_size": {"low": 1, "high": 10},
        "warmup": {"low": 0, "high": 5},
    }
    parallel = 8 if sampler == "tpe" else None
    return read_spec(
        {
            "task": "external",
            "epochs": EPOCHS,
            "objective": {"metric": "val_loss", "direction": "minimize"},
            "space": space,
            "sampler": {"name": sampler, "seed": seed, "parallel": parallel},
            **changes,
        }
    )


def run_study(
    spec: StudySpec,
    n_trials: int,
    train: Callable[[Schedule], float | None],
    *,
    lanes: int = 1,
    order: Callable[[int], float] = float,
    suggester: Callable[[], Suggester] | None = None,
) -> list[Outcome]:
    """Trials of ``spec`` on ``lanes`` workers; a trial ends ``order(number)`` after it began.

    ``suggester`` gives the one to ask, each time; by default one lives through the study.
    """
    space, alive = Space(spec), Suggester(spec)
    history: list[Outcome] = []
    running: list[tuple[float, int]] = []
    clock = 0.0
    while True:
        number = len(history)
        ask = suggester() if suggester else alive
        if number < n_trials and len(running) < lanes and ask.can_suggest(number, history):
            params = ask.suggest(number, history)
            if params is not None:
                history.append(Outcome(number, "running", None, params, "sampler"))
                heapq.heappush(running, (clock + order(number), number))
                continue
        if not running:
            return history
        clock, ended = heapq.heappop(running)
        value = train(space.schedule(history[ended].params))
        history[ended] = history[ended]._replace(state="diverged" if value is None else "completed", value=value)


@pytest.fixture(scope="session")
def objective() -> Callable[[Schedule], float | None]:
    return least_squares


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., StudySpec]:
    return study_spec


@pytest.fixture(scope="session")
def run() -> Callable[..., list[Outcome]]:
    return run_study
