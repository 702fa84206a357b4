"""Cursors: where the next page begins, opaque to whoever carries them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from ..errors import InvalidInput

Mark = tuple[int | float | None, ...]
"""The sort key of a page's last item."""


def write(kind: str, mark: Mark) -> str:
    """A cursor of one listing (``kind`` says which)."""
    text = json.dumps([kind, *mark], allow_nan=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(kind: str, cursor: str, types: Sequence[Any]) -> Any:
    """What ``write`` put in.

    Raises:
        InvalidInput: it is no cursor of this listing.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found, *mark = json.loads(text, parse_constant=float.fromhex)
    except (binascii.Error, ValueError, TypeError):
        found, mark = None, []
    fits = [isinstance(part, wanted) and part is not True for part, wanted in zip(mark, types, strict=False)]
    if found != kind or len(mark) != len(types) or not all(fits):
        raise InvalidInput(
            f"`cursor` is the `next` of an earlier page of this listing (got {cursor!r:.100})", field="cursor"
        )
    return mark


def page_of(limit: int) -> int:
    """``limit``, checked.

    Raises:
        InvalidInput: below 1.
    """
    if limit < 1:
        raise InvalidInput(f"`limit >= 1` must hold (got {limit})", field="limit")
    return limit
