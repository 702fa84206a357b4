"""A process that adds trials with points to study s, and says so once each transaction has returned.

Arguments: the database's URL, how many trials (0: without end).
"""

from __future__ import annotations

import itertools
import sys
from datetime import UTC, datetime

from lrsearch.schedules import Schedule
from lrsearch.store import Arrival, Store
from lrsearch.study import Point, Trial


def main(url: str, count: int) -> None:
    store = Store(url)
    schedule = Schedule.model_validate({"family": "cosine", "epochs": 10, "initial_lr": 0.1})
    points = [Point(epoch=epoch, seed=0, metrics={"val_loss": 1 / epoch}) for epoch in range(1, 11)]
    for _ in range(count) if count else itertools.count():
        with store.transaction() as tx:
            tx.studies.get("s", lock=True)
            number = tx.trials.next_number("s")
            tx.trials.add("s", [Trial(number=number, schedule=schedule, created_at=datetime.now(UTC))])
            tx.points.add("s", [Arrival(number, "trial", 1, points, [0.5] * 10)])
        print(number, flush=True)
    store.close()


main(sys.argv[1], int(sys.argv[2]))
