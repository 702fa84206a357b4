"""A formula is text: evaluated by numpy here, printed into other frameworks by the exports, shown by the catalog."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

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
}
"""The vocabulary of formulas, as numpy spells it. Exports keep a table of the same names for their framework."""


@dataclass(frozen=True)
class Formula:
    """One expression in the names of ``NUMPY_NAMES`` and the variables its owner documents.

    The text is a constant of this package, never input: it is compiled once, here, with no builtins.
    """

    text: str
    _code: CodeType = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_code", compile(self.text, f"<formula {self.text}>", "eval"))

    def __call__(self, **variables: object) -> FloatArray:
        """The value in float64, broadcast over the arrays among ``variables``."""
        result = eval(self._code, {"__builtins__": {}, **NUMPY_NAMES}, variables)
        return np.asarray(result, dtype=np.float64)
