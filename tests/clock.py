"""The database's clock, moved on."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from lrsearch.store import Transaction


class Clock:
    """Puts the clock of every database forward, for this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead = timedelta()
        real = Transaction.now

        def now(tx: Transaction) -> datetime:
            return real(tx) + self._ahead

        monkeypatch.setattr(Transaction, "now", now)

    def forward(self, seconds: float) -> None:
        """Let ``seconds`` pass at once."""
        self._ahead += timedelta(seconds=seconds)
