"""The bell: whoever waits for work is told when there may be some."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Bell:
    """Rung after every transaction of this process that may leave somebody something to do. Thread-safe.

    It says only that a look is worth while. Other processes on the same database have bells of their own, so whoever
    waits looks again now and then all the same.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._listeners: dict[int, Callable[[], object]] = {}
        self._next = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the service is about to end: nobody waits any more."""
        return self._closed

    def close(self) -> None:
        """Let everybody go who waits."""
        self._closed = True
        self.ring()

    def open(self) -> None:
        """Waiting makes sense (again)."""
        self._closed = False

    def ring(self) -> None:
        """Tell everybody who listens."""
        with self._guard:
            for listener in self._listeners.values():
                listener()

    @contextmanager
    def heard_by(self, listener: Callable[[], object]) -> Iterator[None]:
        """Within the block ``listener`` is called at every ring, from any thread; it must not block or raise."""
        with self._guard:
            number, self._next = self._next, self._next + 1
            self._listeners[number] = listener
        try:
            yield
        finally:
            with self._guard:
                del self._listeners[number]
