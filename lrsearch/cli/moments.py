"""Moments: how commands read and write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from ..errors import InvalidInput

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LENGTH = re.compile(r"([1-9][0-9]{0,5})([mhdw])")


def moment(text: str, option: str, *, past: bool = False) -> datetime:
    """``30d`` from now (``past``: ago), or a moment as ISO 8601 has it; without a time zone it is in UTC.

    Raises:
        InvalidInput: it is neither, or too far away.
    """
    try:
        if (length := LENGTH.fullmatch(text)) is not None:
            away = timedelta(**{UNITS[length[2]]: int(length[1])})
            return datetime.now(UTC) - away if past else datetime.now(UTC) + away
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{option} is a length like 30d, 12h, 4w, or a moment like 2027-01-31T00:00:00Z (got {text!r:.50})",
            field=option,
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def in_minutes(at: datetime | None) -> str | None:
    """``2027-01-31 10:00``."""
    return None if at is None else f"{at:%Y-%m-%d %H:%M}"
