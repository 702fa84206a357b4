"""Dialects: how each language spells the vocabulary of formulas. One entry a language serves every family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """One language's spelling of ``schedules.formula.NUMPY_NAMES``, for one update at a time or for tensors of them.

    Attributes:
        modules: what the spelled names begin with, and the line that imports it.
        names: the functions and constants; without ``where``, a choice is a conditional expression.
        passed: how many of the rising ``{numbers}`` are at most ``{now}``.
        at: item ``{index}`` of ``{numbers}``.
        real: how a whole number of updates becomes a float, where the language does not see to it.
        power: a ``{constant}`` to the power of an ``{exponent}``. In float32 a constant may be too small to be told
            from 0, and a large power makes much of its rounding, but little of its logarithm's.
        share_left: ``({whole} - {done}) / {whole}`` to the power of ``{exponent}``. In float32 the quotient is rounded
            near 1, and a large power makes much of that; near 0 a small power makes much of ``{done} / {whole}``, which
            compilers round below 1 at the end.
        choose: ``{ramp}`` during the warm-up, ``{decay}`` after it; None = two return statements.
        largest: whole numbers are below this; None = there is no largest.
    """

    modules: Mapping[str, str]
    names: Mapping[str, str]
    passed: str
    at: str
    real: str = "{}"
    power: str | None = None
    share_left: str | None = None
    choose: str | None = None
    largest: int | None = None


PYTHON = Dialect(
    modules={"bisect": "import bisect", "math": "import math"},
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
    passed="bisect.bisect_right({numbers}, {now})",
    at="{numbers}[{index}]",
)
"""Plain Python, float64."""
_ARRAYS = ("sin", "cos", "exp", "sqrt", "floor", "minimum", "maximum", "where")
JAX = Dialect(
    modules={"math": "import math\n", "jnp": "import jax.numpy as jnp"},
    names={"pi": "math.pi"} | {name: f"jnp.{name}" for name in _ARRAYS},
    passed="jnp.searchsorted(jnp.asarray({numbers}), {now}, side='right')",
    at="jnp.asarray({numbers})[{index}]",
    power="jnp.exp(math.log({constant}) * ({exponent}))",
    share_left="jnp.where(2 * {done} < {whole}, jnp.exp({exponent} * jnp.log1p(-({done} / {whole}))), "
    "(({whole} - {done}) / {whole}) ** {exponent})",
    choose="jnp.where(update < WARMUP_UPDATES, {ramp}, {decay})",
    largest=2**30,
)
"""JAX: traceable, float32 unless its user enables more; updates are counted in int32."""
KERAS = Dialect(
    modules={"math": "import math\n"},
    names={"pi": "math.pi"} | {name: f"ops.{name}" for name in _ARRAYS},
    passed="ops.sum(ops.cast(ops.array({numbers}) <= ops.expand_dims({now}, -1), 'int32'), axis=-1)",
    at="ops.take(ops.array({numbers}), {index})",
    real="ops.cast({}, 'float32')",
    power="ops.exp(math.log({constant}) * ({exponent}))",
    share_left="ops.where(2 * {done} < {whole}, ops.exp({exponent} * ops.log1p(-({done} / {whole}))), "
    "(({whole} - {done}) / {whole}) ** {exponent})",
    choose="ops.where(update < WARMUP_UPDATES, {ramp}, {decay})",
    largest=2**30,
)
"""Keras 3 on any backend: float32; updates are counted in int32."""
