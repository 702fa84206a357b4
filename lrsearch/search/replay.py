"""A space's questions, answered from what was drawn before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution


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
