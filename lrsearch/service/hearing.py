"""Since when the service has been able to hear its workers."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta


class Hearing:
    """Tells a worker that fell silent from one that nobody could hear. Thread-safe; moments by the database's clock.

    After the service or its database was away, whoever held a lease gets a whole one to be heard again: nobody loses
    work for the length of an outage and one lease more. Every service on a database counts for itself, from what it
    went through: its start, a database that could not be reached or written to, a process that stood still.

    Args:
        lease: how long a lease is.
    """

    def __init__(self, lease: timedelta) -> None:
        self._lease = lease
        self._guard = threading.Lock()
        self._was_away = False
        self._beat_at: datetime | None = None
        self._since: datetime | None = None

    def broke(self) -> None:
        """Until the next look nobody could be heard."""
        self._was_away = True

    def counts(self, moment: datetime, *, beat: bool = False) -> bool:
        """Whether silence counts at ``moment``: a whole lease long workers could have been heard.

        Args:
            moment: now.
            beat: whether this look is one of those that come four times a lease. Once there was one, a gap of half a
                lease means that this process stood still.
        """
        with self._guard:
            stood_still = self._beat_at is not None and moment - self._beat_at > self._lease / 2
            if self._was_away or stood_still:
                self._was_away, self._since = False, moment
            if beat or stood_still:
                self._beat_at = moment if beat else None
            return self._since is None or moment - self._since >= self._lease

    def heard(self, moment: datetime) -> bool:
        """Whether workers could be heard from ``moment`` on, as far as the last look knows."""
        with self._guard:
            return self._since is None or moment >= self._since

    def silence(self, since: datetime, moment: datetime) -> timedelta:
        """How long somebody who was last heard at ``since`` has said nothing though he could have been heard."""
        with self._guard:
            return moment - (since if self._since is None else max(since, self._since))
