"""Outcomes as Optuna's samplers see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from ..space import Space
from ..study import TERMINAL, Outcome

_WHEN = datetime(2000, 1, 1, tzinfo=UTC)
"""Optuna wants times; samplers do not look at them."""


class Observation(NamedTuple):
    """An outcome, as one suggestion sees it."""

    outcome: Outcome
    ended: bool
    """Whether its end is seen; else it counts as running."""
    value: float | None
    """What its end counts for, in the objective's unit; None = nothing."""


def observations(history: Sequence[Outcome], number: int, parallel: int, minimize: bool) -> list[Observation]:
    """What suggestion ``number`` sees of the trials before it.

    Trials 0..number-parallel as they ended, later ones as running whatever became of them; a diverged trial counts
    for the worst finite value among those seen, and for nothing while there is none.
    """
    past = sorted((outcome for outcome in history if outcome.number < number), key=lambda outcome: outcome.number)
    seen = [outcome.number <= number - parallel and outcome.state in TERMINAL for outcome in past]
    values = [
        outcome.value
        for outcome, ended in zip(past, seen, strict=True)
        if ended and outcome.state == "completed" and outcome.value is not None
    ]
    worst = (max if minimize else min)(values, default=None)
    return [
        Observation(outcome, ended, (worst if outcome.state == "diverged" else outcome.value) if ended else None)
        for outcome, ended in zip(past, seen, strict=True)
    ]


def as_trial(observation: Observation, space: Space) -> FrozenTrial:
    """The observation as an Optuna trial: without parameters, and failed, where it lies outside of the space."""
    drawn = space.observed(observation.outcome.params)
    if drawn is None:
        return _frozen(TrialState.FAIL)
    replay = Replay(drawn)
    space.suggest(replay)
    state = observation.outcome.state
    if not observation.ended:
        return _frozen(TrialState.RUNNING, replay)
    if state in ("completed", "diverged") and observation.value is not None:
        return _frozen(TrialState.COMPLETE, replay, value=observation.value)
    if state == "pruned":
        return _frozen(TrialState.PRUNED, replay, last=observation.value)
    return _frozen(TrialState.FAIL, replay)


class Replay:
    """Answers a space's questions from what was drawn before, and keeps what was asked."""

    def __init__(self, drawn: Mapping[str, Any]) -> None:
        self.drawn = drawn
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """As Optuna's."""
        self.distributions[name] = FloatDistribution(low, high, log=log)
        return float(self.drawn[name])

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """As Optuna's."""
        self.distributions[name] = IntDistribution(low, high, log=log)
        return int(self.drawn[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """As Optuna's."""
        self.distributions[name] = CategoricalDistribution(choices)
        return self.drawn[name]


def _frozen(
    state: TrialState, replay: Replay | None = None, *, value: float | None = None, last: float | None = None
) -> FrozenTrial:
    return FrozenTrial(
        number=0,
        trial_id=0,
        state=state,
        value=value,
        datetime_start=_WHEN,
        datetime_complete=_WHEN if state.is_finished() else None,
        params=dict(replay.drawn) if replay else {},
        distributions=replay.distributions if replay else {},
        user_attrs={},
        system_attrs={},
        intermediate_values={} if last is None else {0: last},
    )
