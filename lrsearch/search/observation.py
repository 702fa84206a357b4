"""Outcomes as Optuna's samplers see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from ..space import Space
from ..study import TERMINAL, Outcome

_WHEN = datetime(2000, 1, 1, tzinfo=UTC)
"""Optuna wants times; samplers do not look at them."""


Observation = tuple[Outcome, bool, float | None]
"""An outcome as one suggestion sees it: whether its end is seen (else it counts as running), and what its end counts
for in the objective's unit (None = nothing). A plain tuple: there is one for every trial at every suggestion."""


def observations(history: Sequence[Outcome], number: int, parallel: int, minimize: bool) -> list[Observation]:
    """What suggestion ``number`` sees of the trials before it.

    Trials 0..number-parallel as they ended, later ones as running whatever became of them; a diverged trial counts
    for the worst finite value among those seen, and for nothing while there is none.
    """
    past = sorted((outcome for outcome in history if outcome[0] < number), key=itemgetter(0))
    last = number - parallel
    ended = [outcome.number <= last and outcome.state in TERMINAL for outcome in past]
    values = [outcome.value if seen else None for outcome, seen in zip(past, ended, strict=True)]
    completed = [
        value for outcome, value in zip(past, values, strict=True) if value is not None and outcome.state == "completed"
    ]
    worst = (max if minimize else min)(completed, default=None)
    for index, (outcome, seen) in enumerate(zip(past, ended, strict=True)):
        if seen and outcome.state == "diverged":
            values[index] = worst
    return list(zip(past, ended, values, strict=True))


def as_trial(observation: Observation, space: Space) -> FrozenTrial:
    """The observation as an Optuna trial: without parameters, and failed, where it lies outside of the space."""
    outcome, ended, value = observation
    drawn = space.observed(outcome.params)
    if drawn is None:
        return _frozen(TrialState.FAIL)
    replay = Replay(drawn)
    space.suggest(replay)
    if not ended:
        return _frozen(TrialState.RUNNING, replay)
    if outcome.state in ("completed", "diverged") and value is not None:
        return _frozen(TrialState.COMPLETE, replay, value=value)
    if outcome.state == "pruned":
        return _frozen(TrialState.PRUNED, replay, reached={} if value is None else {outcome.mark: value})
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


class Shown(FrozenTrial):
    """A trial without constraints: Optuna would look for them in every trial at every suggestion."""

    @property
    @override
    def constraints(self) -> dict[str, float]:
        return {}


def _frozen(
    state: TrialState,
    replay: Replay | None = None,
    *,
    value: float | None = None,
    reached: Mapping[int, float] = MappingProxyType({}),
) -> FrozenTrial:
    return Shown(
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
        intermediate_values=dict(reached),
    )
