"""A transaction: the verbs of every noun, on one connection."""

from __future__ import annotations

from collections.abc import MutableMapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from ..study import now
from .answers import Answers
from .audit import Audit
from .comparisons import Comparisons
from .events import TRIM_EVERY, Events, Happened
from .leases import Leases
from .notes import Notes
from .offers import Offers
from .points import Points
from .range_tests import RangeTests
from .studies import Studies
from .tokens import Tokens
from .trained import Trained
from .trials import Trials
from .workers import Workers


class Transaction:
    """What can be asked of the store, by noun; valid until its ``with`` block ends."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._moment: datetime | None = None
        self._notes = Notes()
        self.studies = Studies(connection, self.now, self._notes, told_time=self._told_time)
        self.trials = Trials(connection, self.now, self._notes)
        self.points = Points(connection, self.now)
        self.trained = Trained(connection, self.now)
        self.leases = Leases(connection, self.now)
        self.workers = Workers(connection, self.now)
        self.offers = Offers(connection, self.now)
        self.comparisons = Comparisons(connection, self.now)
        self.range_tests = RangeTests(connection, self.now)
        self.answers = Answers(connection, self.now)
        self.events = Events(connection, self.now)
        self.tokens = Tokens(connection, self.now)
        self.audit = Audit(connection, self.now)

    def now(self) -> datetime:
        """The moment of this transaction in UTC, by the database's clock: the same at every call."""
        if self._moment is None:
            on_server = self.connection.dialect.name == "postgresql"
            self._moment = self.connection.execute(select(func.clock_timestamp())).scalar_one() if on_server else now()
        return self._moment

    def _told_time(self, moment: datetime) -> None:
        """A statement has brought the database's time with it: the transaction's, unless it has one."""
        if self._moment is None:
            self._moment = moment

    def tell(self, since_trimmed: MutableMapping[str, int]) -> None:
        """Store what has happened in this transaction, in one statement, for those who follow its studies.

        Args:
            since_trimmed: how many events of a study this process has stored since it last forgot old ones.
        """
        happened = [
            Happened(name, kind, data)
            for name in self._notes.names()
            for kind, data in (*self._notes.events(name), *self._best(name), *self._notes.moves(name))
        ]
        if not happened:
            return
        self.events.add(happened)
        for name in self._notes.names():
            # the first events of a process may come on top of those of another, which was killed
            since_trimmed[name] = since_trimmed.get(name, TRIM_EVERY) + 1
            if since_trimmed[name] > TRIM_EVERY:
                since_trimmed[name] = 0
                self.events.trim(name)

    def _best(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        """The best trial, where this transaction made it that."""
        numbers = self._notes.ranked.get(name)
        if not numbers:
            return []
        minimize = self.studies.get(name).spec.minimize
        leading = self.trials.leading(name, minimize=minimize)
        return [("best", {"trial": number, "value": value}) for number, value in leading if number in numbers]
