"""Dimensions: how one parameter may vary.

Every finite dimension is a row of values behind an index, and the index is what a sampler sees: so grid, random and
TPE yield exactly the same number for the same point, and equal points get equal keys. Points are computed in decimal
arithmetic, so that 0.1, 0.3, ... are the numbers one would have typed, on every machine.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Protocol, cast

from pydantic import JsonValue
from typing_extensions import override

_DECIMAL = Context(prec=40)
"""Enough digits that rounding to a float at the end is the only rounding that counts."""


class Suggesting(Protocol):
    """What a sampler's trial offers: Optuna's three calls."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number from [low, high]."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number from [low, high]."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of ``choices``."""


class Dimension(ABC):
    """The values one parameter may take."""

    @property
    @abstractmethod
    def n(self) -> int | None:
        """How many values there are; None where they are continuous."""

    @abstractmethod
    def value(self, index: int) -> JsonValue:
        """Value number ``index`` in [0, n)."""

    @abstractmethod
    def extremes(self) -> Sequence[Any]:
        """Values among which every law that holds for them all is decided."""

    @abstractmethod
    def suggest(self, trial: Suggesting, label: str) -> JsonValue:
        """A value drawn by a sampler, under its name ``label`` for the dimension."""

    @abstractmethod
    def coordinate(self, value: Any) -> int | float | None:
        """What the sampler draws for ``value``; None where ``value`` is not of this dimension."""

    @property
    def varies(self) -> bool:
        """Whether there is anything to choose."""
        return self.n != 1


@dataclass(frozen=True)
class Choices(Dimension):
    """Listed values with no order among them."""

    values: tuple[JsonValue, ...]

    @property
    @override
    def n(self) -> int:
        return len(self.values)

    @override
    def value(self, index: int) -> JsonValue:
        return self.values[index]

    @override
    def extremes(self) -> Sequence[Any]:
        return self.values

    @override
    def suggest(self, trial: Suggesting, label: str) -> JsonValue:
        # by position: values may be lists, and 1, 1.0 and True are one to a dictionary
        return self.values[cast(int, trial.suggest_categorical(label, tuple(range(self.n))))]

    @override
    def coordinate(self, value: Any) -> int | None:
        return next((index for index, listed in enumerate(self.values) if same(listed, value)), None)


@dataclass(frozen=True)
class Ordered(Dimension):
    """Values on a line, by their position on it: neighbours are alike to a sampler."""

    @override
    def suggest(self, trial: Suggesting, label: str) -> JsonValue:
        assert self.n is not None
        return self.value(trial.suggest_int(label, 0, self.n - 1))

    @override
    def coordinate(self, value: Any) -> int | float | None:
        index = self._index(value) if is_number(value) else None
        return index if index is not None and same(self.value(index), value) else None

    @override
    def extremes(self) -> Sequence[Any]:
        assert self.n is not None
        return (self.value(0), self.value(self.n - 1))

    @abstractmethod
    def _index(self, number: float) -> int | None:
        """The index whose value may be ``number``."""


@dataclass(frozen=True)
class Listed(Ordered):
    """Listed numbers in rising order."""

    numbers: tuple[int | float, ...]

    @property
    @override
    def n(self) -> int:
        return len(self.numbers)

    @override
    def value(self, index: int) -> JsonValue:
        return self.numbers[index]

    @override
    def _index(self, number: float) -> int | None:
        return self.numbers.index(number) if number in self.numbers else None


@dataclass(frozen=True)
class Steps(Ordered):
    """low, low + step, ..., ``count`` of them; ``log``: small ones as likely as large ones (low a multiple of step)."""

    low: float
    step: float
    count: int
    log: bool = False

    @property
    @override
    def n(self) -> int:
        return self.count

    @override
    def value(self, index: int) -> JsonValue:
        exact = _DECIMAL.add(decimal(self.low), _DECIMAL.multiply(Decimal(index), decimal(self.step)))
        return int(exact) if float(self.low).is_integer() and float(self.step).is_integer() else float(exact)

    @override
    def suggest(self, trial: Suggesting, label: str) -> JsonValue:
        return self.value(
            trial.suggest_int(label, self._first, self._first + self.count - 1, log=self.log) - self._first
        )

    @override
    def coordinate(self, value: Any) -> int | float | None:
        index = super().coordinate(value)
        return None if index is None else index + self._first

    @property
    def _first(self) -> int:
        return round(self.low / self.step) if self.log else 0

    @override
    def _index(self, number: float) -> int | None:
        index = round((number - self.low) / self.step)
        return index if 0 <= index < self.count else None


@dataclass(frozen=True)
class Spaced(Ordered):
    """``count`` >= 2 numbers from low to high, evenly spaced, in the logarithm where ``log``."""

    low: float
    high: float
    count: int
    log: bool

    @property
    @override
    def n(self) -> int:
        return self.count

    @override
    def value(self, index: int) -> JsonValue:
        low, high = decimal(self.low), decimal(self.high)
        share = _DECIMAL.divide(Decimal(index), Decimal(self.count - 1))
        if self.log:
            return float(_DECIMAL.multiply(low, _DECIMAL.power(_DECIMAL.divide(high, low), share)))
        return float(_DECIMAL.add(low, _DECIMAL.multiply(_DECIMAL.subtract(high, low), share)))

    @override
    def _index(self, number: float) -> int | None:
        if not self.low <= number <= self.high:
            return None
        scale = math.log if self.log else float
        low, at, high = (scale(value) for value in (self.low, number, self.high))
        near = round((at - low) / (high - low) * (self.count - 1))
        around = range(max(0, near - 1), min(self.count, near + 2))
        return next((index for index in around if self.value(index) == number), None)


@dataclass(frozen=True)
class Interval(Dimension):
    """Any number from low to high, evenly likely, in the logarithm where ``log``."""

    low: float
    high: float
    log: bool

    @property
    @override
    def n(self) -> None:
        return None

    @override
    def value(self, index: int) -> JsonValue:
        raise IndexError("an interval has no cells")

    @override
    def extremes(self) -> Sequence[Any]:
        return (self.low, self.high)

    @override
    def suggest(self, trial: Suggesting, label: str) -> JsonValue:
        return float(trial.suggest_float(label, self.low, self.high, log=self.log))

    @override
    def coordinate(self, value: Any) -> float | None:
        return float(value) if is_number(value) and self.low <= value <= self.high else None


def decimal(number: float) -> Decimal:
    """The shortest decimal that reads as ``number``."""
    return Decimal(repr(number))


def steps_between(low: float, high: float, step: float) -> int:
    """How many whole steps lead from low to at most high."""
    return int(_DECIMAL.divide(_DECIMAL.subtract(decimal(high), decimal(low)), decimal(step)))


def is_number(value: Any) -> bool:
    """Whether ``value`` is an int or a float, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(one: Any, other: Any) -> bool:
    """Equality that keeps true and 1 apart."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
