"""Strings and free JSON that are safe to store, compare and print."""

from __future__ import annotations

import contextlib
import json
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticSerializationError, to_json

MAX_LETTERS = 65_536


def _printable(value: str) -> str:
    normal = unicodedata.normalize("NFC", value)
    for character in normal:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t":
            raise ValueError(f"control characters are not allowed (got {character!r})")
    return normal


def _finite(value: Any) -> Any:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("free JSON holds no lone surrogates") from None
    except (ValueError, RecursionError):
        raise ValueError("free JSON holds finite numbers only, nested at most 32 deep") from None
    if len(text) > MAX_LETTERS:
        raise ValueError(f"free JSON is at most {MAX_LETTERS:,} characters long (got {len(text):,})")
    return value


def _free(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
    """Its size is looked at before what is in it."""
    if not isinstance(value, dict):
        return _finite(inner(value))
    with contextlib.suppress(PydanticSerializationError):
        if (n_bytes := len(to_json(value))) > 4 * MAX_LETTERS:  # many times sooner than their letters are counted
            raise ValueError(f"free JSON is at most {MAX_LETTERS:,} characters long (got {n_bytes:,} bytes)")
    with contextlib.suppress(TypeError):  # of what JSON does not know, and ``inner`` refuses
        _finite(value)
    return inner(value)


def _null_if_not_finite(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0:
        return None
    return value


Text = Annotated[str, Field(max_length=2000), AfterValidator(_printable)]
"""Up to 2,000 characters, NFC, no control characters but line breaks and tabs."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
"""A name in addresses and files: lower-case letters, digits, dots, underscores, hyphens; 1 to 100 characters."""
FreeJson = Annotated[dict[str, JsonValue], WrapValidator(_free)]
"""A JSON object of anything, finite, at most 65,536 characters."""
Metric = Annotated[float | None, BeforeValidator(_null_if_not_finite)]
"""A measured number; null where it was not finite."""


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)
