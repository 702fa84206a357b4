"""What columns hold: moments in UTC, and JSON as text."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Integer, Label, Text, type_coerce
from sqlalchemy.types import TypeDecorator

RowId = BigInteger().with_variant(Integer, "sqlite")
"""A number the database gives out; SQLite does so for columns of type INTEGER only."""


class Moment(TypeDecorator[datetime]):
    """An aware datetime, to the microsecond; SQLite stores it in UTC without saying so."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """As the database takes it."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"moments have a time zone (got {value!r})")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def as_stored(column: Column[Any]) -> Label[Any]:
    """A column of moments as the database's driver gives it, for rows of which most are known already."""
    return type_coerce(column, Text).label(column.name)


def moment_of(stored: datetime | str | None) -> datetime | None:
    """A moment ``as_stored``."""
    if stored is None:
        return None
    if isinstance(stored, str):
        return datetime.fromisoformat(stored).replace(tzinfo=UTC)
    return stored.astimezone(UTC)


def to_json(value: Any) -> str:
    """``value`` as JSON in ASCII; a number that is not finite becomes null, every other float comes back exactly."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def from_json(text: str) -> Any:
    """What ``to_json`` wrote."""
    return json.loads(text)


def finite(value: float | None) -> float | None:
    """``value``, or None where it is not finite."""
    return value if value is not None and math.isfinite(value) else None


def _finite(value: Any) -> Any:
    match value:
        case float():
            return finite(value)
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
    return value
