from __future__ import annotations

import math
import warnings
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.search import stops
from lrsearch.study import MedianPruner

Value = float | None
VALUES = st.none() | st.integers(0, 6).map(float) | st.floats(-100, 100)


def optuna_stops(pruner: MedianPruner, minimize: bool, own: list[Value], others: list[Value]) -> bool:
    def trial(state: optuna.trial.TrialState, values: dict[int, Value], **more: Any) -> optuna.trial.FrozenTrial:
        reported = {epoch: math.nan if value is None else value for epoch, value in values.items()}
        return optuna.trial.create_trial(state=state, intermediate_values=reported, **more)

    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(direction="minimize" if minimize else "maximize", storage=storage)
    for value in others:
        study.add_trial(trial(optuna.trial.TrialState.COMPLETE, {len(own): value}, value=0.0))
    running = trial(optuna.trial.TrialState.RUNNING, dict(enumerate(own, start=1)))
    theirs = optuna.pruners.MedianPruner(pruner.startup_trials, pruner.startup_epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy on rows of nan
        return theirs.prune(study, running)


@given(
    own=st.lists(VALUES, min_size=1, max_size=5),
    others=st.lists(VALUES, max_size=8),
    minimize=st.booleans(),
    startup_trials=st.integers(0, 6),
    startup_epochs=st.integers(0, 5),
)
def test_agrees_with_optuna(
    own: list[Value], others: list[Value], minimize: bool, startup_trials: int, startup_epochs: int
) -> None:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        pruner = MedianPruner(startup_trials=startup_trials, startup_epochs=startup_epochs)
        assert stops(pruner, minimize, own, others) == optuna_stops(pruner, minimize, own, others)
    finally:
        optuna.logging.set_verbosity(verbosity)


PRUNER = MedianPruner(startup_trials=3, startup_epochs=2)


@pytest.mark.parametrize(
    ("own", "others", "stopped"),
    [
        ([9, 9], [1, 2, 3], True),
        ([9, 2], [1, 2, 3], False),  # as good as the median
        ([1, 9], [2, 2, 2], False),  # its best counts, not its last
        ([9], [1, 2, 3], False),  # before startup_epochs
        ([9, 9], [1, 2], False),  # before startup_trials
        ([None, None], [1, 2, 3], True),
        ([math.inf, math.nan], [1, 2, 3], True),
        ([9, 9], [None, None, None], False),
    ],
)
def test_rule(own: list[Value], others: list[Value], stopped: bool) -> None:
    assert stops(PRUNER, True, own, others) is stopped
    mirrored = [[None if value is None else -value for value in values] for values in (own, others)]
    assert stops(PRUNER, False, *mirrored) is stopped
