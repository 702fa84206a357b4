"""Declared lengths: shares of the horizon become numbers, and ranges step by whole units."""

from __future__ import annotations

import math
from typing import Any

from pydantic import ValidationError

from ..frozen import faults_of
from ..schedules import listed, share_of
from ..study import Fixed, Range
from .dimensions import same


def resolved_length(declared: Any, horizon: int, unit: int) -> Any:
    """The declaration of a length, or of a list of lengths, with no shares left and every step written out.

    A range without ``num`` or ``step`` steps by ``unit``; its bounds given as shares are rounded inwards to whole
    units, up where no whole unit lies between them. A share that equals another choice is dropped.

    Args:
        declared: a declaration as a spec holds it.
        horizon: the horizon in its own unit.
        unit: the default step of lengths: 1 epoch, or ``eval_every`` updates.

    Raises:
        ValueError: a share that is none, or bounds that leave nothing between them.
    """
    if isinstance(declared, Range):
        return _range(declared, horizon, unit)
    if isinstance(declared, Fixed):
        return Fixed(value=_number(declared.value, horizon))
    if not isinstance(declared, tuple):
        return _number(declared, horizon)
    numbers = [value for value in declared if not _has_shares(value)]
    for value in declared:
        share = _number(value, horizon)
        if _has_shares(value) and not any(same(share, number) for number in numbers):
            numbers.append(share)
    return tuple(numbers)


def _has_shares(value: Any) -> bool:
    return any(isinstance(item, str) for item in listed(value))


def _number(value: Any, horizon: int) -> Any:
    """A length, or a list of lengths, without shares."""
    if isinstance(value, list | tuple):
        return [_number(item, horizon) for item in value]
    if not isinstance(value, str):
        return value
    share = share_of(value, horizon)
    return int(share) if share.is_integer() else share


def _range(declared: Range, horizon: int, unit: int) -> Any:
    low, high = _number(declared.low, horizon), _number(declared.high, horizon)
    step = declared.step
    if declared.num is None and step is None:
        step = unit
        if low < high:
            # 1e-9: a share like 30 % of 10 is three units, whatever its last bit says
            low = math.ceil(low / unit - 1e-9) * unit if isinstance(declared.low, str) else low
            high = math.floor(high / unit + 1e-9) * unit if isinstance(declared.high, str) else high
            if low >= high:
                return low
        if declared.log and low % unit:
            raise ValueError(f"a log range of lengths begins at a multiple of {unit}, or has `num` (got low {low:g})")
    try:
        return Range.model_validate(
            {"low": low, "high": high, "log": declared.log, "num": declared.num, "step": None if declared.log else step}
        )
    except ValidationError as error:
        raise ValueError("; ".join(fault.message for fault in faults_of(error))) from None
