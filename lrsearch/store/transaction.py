"""A transaction: the verbs of every noun, on one connection."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from ..study import now
from .answers import Answers
from .comparisons import Comparisons
from .leases import Leases
from .offers import Offers
from .points import Points
from .range_tests import RangeTests
from .studies import Studies
from .trained import Trained
from .trials import Trials
from .workers import Workers


class Transaction:
    """What can be asked of the store, by noun; valid until its ``with`` block ends."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._moment: datetime | None = None
        self.studies = Studies(connection, self.now)
        self.trials = Trials(connection, self.now)
        self.points = Points(connection, self.now)
        self.trained = Trained(connection, self.now)
        self.leases = Leases(connection, self.now)
        self.workers = Workers(connection, self.now)
        self.offers = Offers(connection, self.now)
        self.comparisons = Comparisons(connection, self.now)
        self.range_tests = RangeTests(connection, self.now)
        self.answers = Answers(connection, self.now)

    def now(self) -> datetime:
        """The moment of this transaction in UTC, by the database's clock: the same at every call."""
        if self._moment is None:
            on_server = self.connection.dialect.name == "postgresql"
            self._moment = self.connection.execute(select(func.clock_timestamp())).scalar_one() if on_server else now()
        return self._moment
