"""What everybody who holds leases needs: the three verbs, patience with a service that is away, and a name."""

from __future__ import annotations

import os
import random
import re
import socket
from typing import Protocol

from .study import Lease, LeaseRequest, ReportAnswer, ReportRequest

IDLE_SECONDS = (0.05, 1.0)
"""How soon a worker without work asks again: at first, and at most."""
AWAY_SECONDS = (0.2, 5.0)
"""How soon a worker tries again while the service is away: at first, and at most."""


class LeaseVerbs(Protocol):
    """What a worker needs of the service, in this process or over HTTP."""

    def lease(self, request: LeaseRequest) -> Lease:
        """Ask for work."""

    def report(self, lease: str, request: ReportRequest) -> ReportAnswer:
        """Send results; an empty report is the heartbeat."""

    def release(self, lease: str) -> None:
        """Hand everything back."""


class Backoff:
    """Growing pauses with jitter, so that many workers do not come back in step."""

    def __init__(self, bounds: tuple[float, float]) -> None:
        self._first, self._longest = bounds
        self._next = self._first

    def reset(self) -> None:
        """Begin with short pauses again."""
        self._next = self._first

    def seconds(self) -> float:
        """The next pause."""
        pause = self._next
        self._next = min(2 * pause, self._longest)
        return pause * random.uniform(0.5, 1.0)


def worker_name(suffix: str = "") -> str:
    """A name for a worker of this process: host, process id, and a suffix."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).strip("-._") or "host"
    return f"{host[:60]}:{os.getpid()}{suffix}"


def in_words(error: BaseException) -> str:
    """An error as one text that a report can carry."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)[:2000]
