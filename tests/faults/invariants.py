"""What must hold in the database whatever breaks: read by plain SQL, at one moment and from one moment to the next.

I2 numbers without gap · I3 attempts rise, one live lease a trial · I4 an end is final · I5 epochs without gap ·
I6 who runs is held by a lease that lives · I9 the best is the best. I1 (the acknowledged is there), I8 and I11 need
what the workers know: ``Watch.acknowledged`` and ``same_trials``. I7 and I10 are laws of single calls and processes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import create_engine, text

TERMINAL = {"completed", "pruned", "diverged", "failed", "cancelled"}


class Row(NamedTuple):
    """What is looked at of a trial."""

    state: str
    attempts: int
    lease: str | None
    purpose: str | None
    value: float | None
    confirmed: float | None
    params: str
    finished: Any


class Watch:
    """Looks at one database again and again."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, pool_pre_ping=True)
        self._before: dict[tuple[str, int], Row] = {}

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def query(self, statement: str, **values: Any) -> list[Any]:
        """The rows of a query."""
        with self._engine.connect() as connection:
            return list(connection.execute(text(statement), values))

    def trials(self) -> dict[tuple[str, int], Row]:
        """Every trial by study and number."""
        columns = "study, number, state, attempts, lease, purpose, value, confirmed_mean, params, finished_at"
        rows = self.query(f"SELECT {columns} FROM trials ORDER BY study, number")
        return {(row[0], row[1]): Row(*row[2:]) for row in rows}

    def epochs(self) -> dict[tuple[str, int], dict[int, list[int]]]:
        """The epochs reported of every trial, by seed."""
        found: dict[tuple[str, int], dict[int, list[int]]] = {}
        statement = "SELECT study, number, seed, epoch FROM points WHERE purpose = 'trial' ORDER BY 1, 2, 3, 4"
        for study, number, seed, epoch in self.query(statement):
            found.setdefault((study, number), {}).setdefault(seed, []).append(epoch)
        return found

    def check(self) -> dict[tuple[str, int], Row]:
        """Look once; AssertionError where a law is broken. Answers the trials."""
        trials = self.trials()
        living = {row[0] for row in self.query("SELECT lease FROM leases WHERE ended_at IS NULL")}
        counts: dict[str, int] = {}
        for (study, number), row in trials.items():
            assert number == counts.get(study, 0), f"I2: {study} has {number} and not {counts.get(study, 0)}"
            counts[study] = number + 1
            assert row.lease is None or row.lease in living, f"I3: {study}/{number} is held by a lease that ended"
            if row.state == "running":
                assert row.lease is not None, f"I6: {study}/{number} runs and nobody holds it"
            assert (row.state in TERMINAL) == (row.finished is not None), f"I4: {study}/{number} {row}"
            if row.state == "queued":
                assert row.lease is None, f"I6: {study}/{number} is queued and held"
            if row.state not in TERMINAL:
                assert row.purpose == "trial", f"I6: {study}/{number} is {row.state} and nobody is to train it"
            self._follows((study, number), row)
        self._before = trials
        for where, seeds in self.epochs().items():
            for seed, epochs in seeds.items():
                assert epochs == list(range(1, len(epochs) + 1)), f"I5: {where} seed {seed} has epochs {epochs}"
        return trials

    def _follows(self, where: tuple[str, int], row: Row) -> None:
        before = self._before.get(where)
        if before is None or (before.attempts == 0 and before.state == "queued"):
            return  # drawn and never begun: it may be forgotten and drawn anew
        assert row.params == before.params, f"I11: {where} is another trial than before"
        assert row.attempts >= before.attempts, f"I3: {where} {before} -> {row}"
        if row.lease not in (None, before.lease):
            assert row.attempts > before.attempts, f"I3: {where} has another lease and the same attempt"
        if before.state in TERMINAL:
            same = (row.state, row.value, row.finished) == (before.state, before.value, before.finished)
            assert same, f"I4: {where} {before} -> {row}"

    def none_is_stuck(self, now: Any, seconds: float) -> None:
        """I6: no lease that holds something is over for longer than ``seconds``."""
        statement = "SELECT l.expires_at, t.study, t.number FROM trials t JOIN leases l ON l.lease = t.lease"
        for expires_at, study, number in self.query(statement):
            late = (now - _aware(expires_at)).total_seconds()
            assert late <= seconds, f"I6: the lease of {study}/{number} is over for {late:.1f} s"

    def acknowledged(self, log: Iterable[Mapping[str, Any]]) -> int:
        """I1: every point and end that a worker was told is stored. Answers how many there were.

        Args:
            log: what a worker wrote down after each answer: study, trial, and epoch with value, or state.
        """
        points = {
            (study, number, epoch): objective
            for study, number, epoch, objective in self.query(
                "SELECT study, number, epoch, objective FROM points WHERE purpose = 'trial'"
            )
        }
        trials = self.trials()
        n = 0
        for entry in log:
            n += 1
            where = (entry["study"], entry["trial"])
            if "epoch" in entry:
                stored = points.get((*where, entry["epoch"]))
                assert stored == entry["value"], f"I1: {entry} was acknowledged, and {stored} is stored"
            else:
                assert trials[where].state == entry["state"], f"I1: {entry} was acknowledged: {trials[where]}"
        return n

    def best(self, study: str, *, minimize: bool = True) -> list[int]:
        """I9: completed trials, the best first, by going through all of them."""
        sign = 1 if minimize else -1
        done = [
            (row.confirmed is None, sign * (row.value if row.confirmed is None else row.confirmed), number, row.value)
            for (its, number), row in self.trials().items()
            if its == study and row.state == "completed" and row.value is not None
        ]
        return [number for _, _, number, _ in sorted(done)]


def same_trials(found: Iterable[Any], expected: Iterable[Any]) -> None:
    """I8, I11: two studies came to the same trials: what was suggested, and what became of it, to the bit."""
    kept = [
        [(trial.number, trial.params, trial.state, trial.value, trial.metrics) for trial in trials]
        for trials in (found, expected)
    ]
    assert kept[0] == kept[1]


def lines(path: Any) -> list[dict[str, Any]]:
    """A log of JSON lines; the last one may be cut off by a kill."""
    whole = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in whole if line.endswith("\n")]


def _aware(moment: Any) -> Any:
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
