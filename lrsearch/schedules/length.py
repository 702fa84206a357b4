"""Lengths: how long a part of a schedule lasts, in the horizon's unit or as a share of the horizon."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import AllowInfNan, BeforeValidator, Field, PlainSerializer

from ..frozen import MAX_INTEGER

_SHARE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*", re.ASCII)


def share_of(value: str, horizon: float) -> float:
    """``"5%"`` of a horizon, in the horizon's unit.

    Raises:
        ValueError: if ``value`` is not a percentage from 0 to 100.
    """
    match = _SHARE.fullmatch(value)
    if match is None or float(match[1]) > 100:
        raise ValueError(f'a length is a number or a share of the horizon like "5%" (got {value!r:.100})')
    return float(match[1]) * horizon / 100


def whole_updates(length: float, updates_per_unit: int) -> int:
    """``floor(length x updates_per_unit + 1/2)``: the one place where lengths become updates."""
    return math.floor(length * updates_per_unit + 0.5)


def _number(value: Any) -> Any:
    if isinstance(value, str):
        share_of(value, 1)
        raise ValueError(f"the share {value!r} needs a horizon: give `epochs`, or `updates` and `eval_every`")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError('a length is a number or a share of the horizon like "5%"')
    return value


class LengthMark:
    """Marks a field as a length, for the code that turns shares and updates."""


Length = Annotated[
    float,
    LengthMark(),
    BeforeValidator(_number, json_schema_input_type=float | str),
    AllowInfNan(False),
    Field(ge=0, le=MAX_INTEGER),
    PlainSerializer(lambda value: int(value) if value.is_integer() else value, return_type=int | float),
]
"""Epochs (or updates, where the horizon is in updates); a share like ``"5%"`` is resolved as the schedule is made."""
