"""Workers in the store."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from ..study import Worker
from .columns import from_json, to_json
from .fields import plain
from .noun import Noun
from .tables import LEASES, TRIALS, WORKERS

REST = ("device", "versions", "tasks")
REMEMBERED = timedelta(days=7)
"""How long a silent worker is still told of."""


class Workers(Noun):
    """The verbs on workers."""

    def put(self, worker: Worker) -> None:
        """Store what a worker says of itself; its state and what it holds are derived."""
        rest = {name: plain(Worker, name, getattr(worker, name)) for name in REST}
        self._put(WORKERS, [{"worker": worker.worker, "last_seen": worker.last_seen, "rest": to_json(rest)}])

    def seen(self, worker: str, moment: datetime) -> None:
        """A known worker was heard."""
        self._connection.execute(update(WORKERS).where(WORKERS.c.worker == worker).values(last_seen=moment))

    def forget(self) -> None:
        """Forget those that were not heard of for long: every process that ever asked has a name of its own."""
        self._connection.execute(delete(WORKERS).where(WORKERS.c.last_seen < self._now() - REMEMBERED))

    def all(self) -> list[Worker]:
        """Every worker heard of in the last days, the newest first: busy if it holds something, else idle."""
        holds: dict[str, list[tuple[str, int]]] = {}
        joined = TRIALS.join(LEASES, LEASES.c.lease == TRIALS.c.lease)
        held = select(LEASES.c.worker, TRIALS.c.study, TRIALS.c.number).select_from(joined)
        for worker, study, number in self._connection.execute(held.where(LEASES.c.ended_at.is_(None))):
            holds.setdefault(worker, []).append((study, number))
        rows = self._connection.execute(select(WORKERS)).all()
        return [
            Worker(
                worker=row.worker,
                state="busy" if row.worker in holds else "idle",
                holds=tuple(f"{study}/{number}" for study, number in sorted(holds.get(row.worker, []))),
                last_seen=row.last_seen,
                **from_json(row.rest),
            )
            for row in sorted(rows, key=lambda row: (-row.last_seen.timestamp(), row.worker))
        ]
