"""Lengths: how long a part of a schedule lasts, in the horizon's unit or as a share of the horizon."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, AllowInfNan, BeforeValidator, Field, PlainSerializer

from ..errors import InvalidInput
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


def without_shares(value: Any, horizon: float) -> Any:
    """``value`` with shares turned into the horizon's unit, also inside of a list; anything else as it is.

    Raises:
        ValueError: as ``share_of``.
    """
    if isinstance(value, list | tuple):
        return [without_shares(item, horizon) for item in value]
    return share_of(value, horizon) if isinstance(value, str) else value


def listed(value: Any) -> Sequence[Any]:
    """``value`` if it is a list, else the list of it alone."""
    return value if isinstance(value, list | tuple) else (value,)


def unequal(sizes: Mapping[str, int]) -> str:
    """The law that lists of different ``sizes`` break."""
    told = " and ".join(f"{size} {name}" for name, size in sizes.items())
    return f"{' and '.join(f'`{name}`' for name in sizes)} are lists of one length (got {told})"


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


def _listed(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("a list is meant: in a space `{value: [...]}`, or a list of lists as choices")
    return value


IsList = BeforeValidator(_listed)
"""Marks a parameter that is itself a list, so that a single number is answered with how to write one."""


def _rising(lengths: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= earlier for earlier, later in itertools.pairwise(lengths)):
        raise ValueError(f"every one must be later than the one before (got {', '.join(f'{x:g}' for x in lengths)})")
    return lengths


MAX_ITEMS = 1000
Milestones = Annotated[
    tuple[Length, ...],
    LengthMark(),
    Field(min_length=1, max_length=MAX_ITEMS, fail_fast=True),
    AfterValidator(_rising),
    IsList,
]
"""Rising lengths, each counted from the warm-up's end."""


def required_updates_per_epoch(updates_per_epoch: int | None) -> int:
    """``updates_per_epoch`` if it is a whole number >= 1, else InvalidInput that says what to give."""
    if isinstance(updates_per_epoch, int) and not isinstance(updates_per_epoch, bool) and updates_per_epoch >= 1:
        return updates_per_epoch
    raise InvalidInput(
        "the horizon is in epochs: give `updates_per_epoch`, the optimiser updates of one epoch, a whole number >= 1 "
        f"(got {updates_per_epoch!r})",
        field="updates_per_epoch",
    )
