"""Trials as rows, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, select

from ..schedules import Schedule
from ..study import EpochCounts, Trial
from .columns import Moment, as_stored, finite, from_json, moment_of, to_json
from .fields import checked, plain
from .noun import Noun
from .tables import TRIALS

PLAIN = (
    "number", "state", "origin", "purpose", "lease", "heard", "attempts", "worker", "plan_key", "root", "value",
    "seconds", "created_at", "started_at", "finished_at",
)  # fmt: skip
"""A trial's fields with a column of the same name."""
REST = (
    "values",
    "metrics",
    "error",
    "diverged_at",
    "stopped_at",
    "retry_of",
    "confirmed",
    "test",
    "checkpoint",
    "lost",
    "killed",
    "handed_at",
    "promoted_at",
    "let_on",
)
"""Its fields in the column ``rest``."""
NESTED = ("diverged_at", "confirmed", "checkpoint", "handed_at", "promoted_at")
"""Those of them that JSON has other values for."""
COLUMNS = tuple(column.name for column in TRIALS.columns)
MOMENTS = tuple(column.name for column in TRIALS.columns if isinstance(column.type, Moment))
CHANGEABLE = ("epochs", *PLAIN[1:], *REST)

WHOLE: Select[*tuple[Any, ...]] = select(
    *(as_stored(column) if column.name in MOMENTS else column for column in TRIALS.columns)
)
"""Trials as ``trial_of`` reads them."""
_THESE = WHOLE.where(
    TRIALS.c.study == bindparam("its_study"), TRIALS.c.number.in_(bindparam("its_numbers", expanding=True))
)


class TrialRows(Noun):
    """Reading trials by number.

    Attributes:
        n_writes: how often this transaction has changed trials: what was read at the same count is still true.
    """

    n_writes = 0

    def _numbered(self, study: str, numbers: Sequence[int]) -> list[Trial]:
        """The trials of these numbers, in this order."""
        found = {trial.number: trial for trial in self._existing(study, numbers)}
        return [found[number] for number in numbers]

    def _existing(self, study: str, numbers: Sequence[int]) -> Iterator[Trial]:
        """Those of the trials of these numbers that exist, in any order."""
        for first in range(0, len(numbers), 1000):  # within the number of parameters that a statement may have
            its = {"its_study": study, "its_numbers": numbers[first : first + 1000]}
            yield from map(trial_of, self._connection.execute(_THESE, its))


def new_row(study: str, trial: Trial) -> dict[str, Any]:
    """A trial as a row."""
    fields = checked(Trial, {name: getattr(trial, name) for name in CHANGEABLE}, CHANGEABLE)
    return columns_of(fields) | {
        "study": study,
        "number": trial.number,
        "params": to_json(trial.params),
        "schedule": to_json(trial.schedule.model_dump(mode="json")),
        "rest": to_json(rest_of(fields)),
    }


def rest_of(fields: Mapping[str, Any], known: Trial | None = None) -> dict[str, Any]:
    """What column ``rest`` holds of ``fields``; with ``known``, of all the trial's other fields too."""
    if known is not None:
        fields = {name: getattr(known, name) for name in REST} | dict(fields)
    return {
        name: plain(Trial, name, fields[name]) if name in NESTED and fields[name] is not None else fields[name]
        for name in REST
        if name in fields
    }


def columns_of(fields: dict[str, Any]) -> dict[str, Any]:
    """The plain columns that fields of a trial are kept in."""
    row = {name: finite(value) if name in ("value", "seconds") else value for name, value in fields.items()}
    row = {name: value for name, value in row.items() if name in PLAIN}
    if "epochs" in fields:
        row |= {f"epochs_{kind}": count for kind, count in fields["epochs"]}
    if "confirmed" in fields:
        row["confirmed_mean"] = finite(fields["confirmed"].mean) if fields["confirmed"] else None
    return row


def trial_of(row: Row[*tuple[Any, ...]]) -> Trial:
    """A row as a trial."""
    return _parsed(tuple(row))


@lru_cache(maxsize=1024)
def _parsed(row: tuple[Any, ...]) -> Trial:
    """Equal rows are parsed once: listings are read again and again, and most trials have ended."""
    columns = dict(zip(COLUMNS, row, strict=True))
    fields: dict[str, Any] = {name: columns[name] for name in PLAIN if name not in MOMENTS}
    fields["epochs"] = EpochCounts(**{kind: columns[f"epochs_{kind}"] for kind in EpochCounts.model_fields})
    fields |= {name: moment_of(columns[name]) for name in MOMENTS}
    fields["params"] = from_json(columns["params"])
    fields["schedule"] = schedule_of(columns["schedule"])
    return Trial.model_validate(fields | from_json(columns["rest"]))


@lru_cache(maxsize=1024)
def schedule_of(text: str) -> Schedule:
    """A schedule from its column."""
    return Schedule.model_validate(from_json(text))
