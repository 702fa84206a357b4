"""A formula is text: evaluated by numpy here, printed into other frameworks by the exports, shown by the catalog."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def passed(numbers: Sequence[float], v: FloatArray) -> NDArray[np.intp]:
    """How many of the rising ``numbers`` are at most ``v``: a whole number, counted, so exact at every one of them."""
    return np.searchsorted(np.asarray(numbers, dtype=np.float64), v, side="right")


def at(numbers: Sequence[float], index: NDArray[np.intp]) -> FloatArray:
    """``numbers[index]``; ``index`` counts from 0."""
    return np.asarray(numbers, dtype=np.float64)[index]


NUMPY_NAMES: Mapping[str, object] = {
    "pi": math.pi,
    "sin": np.sin,
    "cos": np.cos,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "where": np.where,
    "passed": passed,
    "at": at,
}
"""The vocabulary of formulas, as numpy spells it. Exports keep a table of the same names for their framework."""


@dataclass(frozen=True)
class Formula:
    """Expressions in the names of ``NUMPY_NAMES`` and the variables its owner documents.

    ``"n = floor(v / cycle); decay_rate ** n"``: names given to parts, if any, then the value. Variables are numbers or
    lists of numbers. Whole numbers stay exact below 2^53: ``floor(a / b)`` of two is their whole quotient.

    The text is a constant of this package, never input: it is compiled once, here, with no builtins.
    """

    text: str
    _parts: tuple[tuple[str, CodeType], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts, value = self.parsed()
        compiled = tuple(
            (name, compile(ast.Expression(part), f"<formula {self.text}>", "eval"))
            for name, part in (*parts.items(), ("", value))
        )
        object.__setattr__(self, "_parts", compiled)

    def parsed(self) -> tuple[dict[str, ast.expr], ast.expr]:
        """The named parts in their order, and the value: trees of the caller's own."""
        *named, value = ast.parse(self.text).body
        parts = {}
        for part in named:
            assert isinstance(part, ast.Assign)
            assert isinstance(part.targets[0], ast.Name)
            parts[part.targets[0].id] = part.value
        assert isinstance(value, ast.Expr)
        return parts, value.value

    def __call__(self, **variables: object) -> FloatArray:
        """The value in float64, broadcast over the arrays among ``variables``."""
        names: dict[str, Any] = dict(variables)
        for name, code in self._parts:
            names[name] = eval(code, {"__builtins__": {}, **NUMPY_NAMES}, names)
        return np.asarray(names[""], dtype=np.float64)
