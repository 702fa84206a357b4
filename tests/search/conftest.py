"""The least-squares objective, and studies run in memory as the service runs them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
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


def least_squares_of(schedules: Sequence[Schedule]) -> list[float | None]:
    """Expected loss of SGD on a noisy quadratic after each schedule; None where it diverges."""
    p = np.ones((len(schedules), len(SPECTRUM)))
    noise = 1 / BATCH - 1 / EXAMPLES
    for rates in np.array([schedule.lr_table(UPDATES_PER_EPOCH) for schedule in schedules]).T:
        lr = np.where(p.max(axis=1) < 1e6, rates, 0)[:, None]  # what is lost stays lost
        p = (1 - lr * SPECTRUM) ** 2 * p + lr**2 * noise * SPECTRUM * (p @ SPECTRUM)[:, None]
    return [float(loss) if loss < 1e5 else None for loss in p @ SPECTRUM / 2]


def least_squares(schedule: Schedule) -> float | None:
    return least_squares_of([schedule])[0]


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
def objectives() -> Callable[[Sequence[Schedule]], list[float | None]]:
    return least_squares_of


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., StudySpec]:
    return study_spec


@pytest.fixture(scope="session")
def run() -> Callable[..., list[Outcome]]:
    return run_study
