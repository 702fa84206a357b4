"""Names for what comes without one."""

from __future__ import annotations

from collections.abc import Callable


def numbered(prefix: str, taken: Callable[[str], object]) -> str:
    """``prefix-1``, ``prefix-2``, ...: the first that is free, where none before it was freed again.

    It takes a few looks, not one for every name that is taken.

    Args:
        prefix: what the name begins with.
        taken: what has a name; something false where nothing has.
    """
    used, free = 0, 1
    while taken(f"{prefix}-{free}"):
        used, free = free, 2 * free
    while free - used > 1:
        between = (used + free) // 2
        if taken(f"{prefix}-{between}"):
            used = between
        else:
            free = between
    return f"{prefix}-{free}"
