"""Dialects: how each language spells the vocabulary of formulas. One entry a language serves every family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """One language's spelling of ``schedules.formula.NUMPY_NAMES``, for one update at a time or for tensors.

    Attributes:
        imports: the lines that the spelled names need.
        names: every name of the vocabulary; without ``where``, a choice is a conditional expression.
        real: how a whole number of updates becomes a float where the language does not do it by itself.
        power: a constant to the power of a number that changes with the update. In float32 a constant may be too small
            to be told from 0, its logarithm is not.
        choose: the value of a function that is ``{ramp}`` during the warm-up and ``{decay}`` after it; None = two
            return statements.
        look_up: the entry of ``RATES`` in force at ``update``, where ``STARTS`` are the first updates of each.
    """

    imports: tuple[str, ...]
    names: Mapping[str, str]
    look_up: str
    real: str = "{}"
    power: str | None = None
    choose: str | None = None


PYTHON = Dialect(
    imports=("import math",),
    names={
        "pi": "math.pi",
        "sin": "math.sin",
        "cos": "math.cos",
        "exp": "math.exp",
        "sqrt": "math.sqrt",
        "floor": "math.floor",
        "minimum": "min",
        "maximum": "max",
    },
    look_up="RATES[bisect.bisect_right(STARTS, update) - 1]",
)
"""Plain Python, float64."""
_ARRAYS = ("pi", "sin", "cos", "exp", "sqrt", "floor", "minimum", "maximum", "where")
JAX = Dialect(
    imports=("import math", "", "import jax.numpy as jnp"),
    names={name: f"jnp.{name}" for name in _ARRAYS} | {"pi": "math.pi"},
    look_up='jnp.asarray(RATES)[jnp.searchsorted(jnp.asarray(STARTS), update, side="right") - 1]',
    power="jnp.exp(math.log({constant}) * ({exponent}))",
    choose="jnp.where(update < WARMUP_UPDATES, {ramp}, {decay})",
)
"""JAX: traceable, float32 unless its user enables more; updates are counted in integers."""
KERAS = Dialect(
    imports=("import math", "", "import keras", "from keras import ops"),
    names={name: f"ops.{name}" for name in _ARRAYS} | {"pi": "math.pi"},
    look_up="ops.take(ops.array(RATES), ops.sum(ops.cast(ops.array(STARTS) <= update, 'int32')) - 1)",
    real='ops.cast({}, "float32")',
    power="ops.exp(math.log({constant}) * ({exponent}))",
    choose="ops.where(update < WARMUP_UPDATES, {ramp}, {decay})",
)
"""Keras 3 on any backend: float32; updates are counted in integers."""
