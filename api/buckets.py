"""Token buckets: how much each caller may do."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

MOST_BUCKETS = 10_000


class Buckets:
    """A bucket for each key, which fills steadily; taking more than it holds has to wait.

    Args:
        per_second: how fast it fills, > 0.
        burst: how much it holds, >= 1.
        clock: seconds that never go back.
    """

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, max(1.0, burst), clock
        self._full_at: dict[Hashable, float] = {}

    def take(self, key: Hashable) -> float:
        """Take one; or, where there is none, the seconds until there is."""
        now = self._clock()
        filling = 1 / self._per_second
        full_at = max(now, self._full_at.get(key, now))
        missing = (full_at - now) * self._per_second
        if missing > self._burst - 1:
            return (missing - self._burst + 1) * filling
        if len(self._full_at) >= MOST_BUCKETS:
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        self._full_at[key] = full_at + filling
        return 0.0
