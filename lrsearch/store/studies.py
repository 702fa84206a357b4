"""Studies in the store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, delete, func, insert, or_, select, update

from ..errors import NotFound
from ..study import Page, Study
from . import cursors
from .columns import from_json, to_json
from .fields import checked, plain
from .notes import Notes
from .noun import Noun
from .tables import LABELS, STUDIES

PLAIN = (
    "name", "owner", "state", "comparison", "resolved", "updates_per_epoch", "created_at", "started_at", "finished_at",
)  # fmt: skip
"""A study's fields with a column of their own."""
REST = ("spec", "submitted", "warnings", "error", "update_seconds", "redrawn")
"""Its fields in the column ``rest``."""
CHANGEABLE = ("state", "resolved", "updates_per_epoch", "started_at", "finished_at", *REST)
OPEN = ("queued", "running")

_ONE = select(STUDIES).where(STUDIES.c.name == bindparam("its_name"))  # built once: every report runs it
_CLOCK = "clock"
_TIMED: Select[*tuple[Any, ...]] = _ONE.add_columns(func.clock_timestamp().label(_CLOCK))  # saves a round trip
_STATEMENTS: dict[tuple[str, bool], Select[*tuple[Any, ...]]] = {
    ("sqlite", False): _ONE,
    ("sqlite", True): _ONE,
    ("postgresql", False): _TIMED,
    ("postgresql", True): _TIMED.with_for_update(),
}
"""By dialect, and whether the row is locked; only a server's clock is asked for."""
_OPEN = select(STUDIES.c.name, STUDIES.c.owner).where(STUDIES.c.state.in_(OPEN)).order_by(STUDIES.c.id)


class Studies(Noun):
    """The verbs on studies."""

    def __init__(
        self,
        connection: Connection,
        now: Callable[[], datetime],
        notes: Notes,
        *,
        told_time: Callable[[datetime], None],
    ) -> None:
        super().__init__(connection, now, notes)
        self._told_time = told_time
        # a report looks at its study several times, and only this transaction can change it meanwhile
        self._found: dict[str, Study] = {}

    def add(self, study: Study) -> None:
        """Store a study; its progress and best are computed, not stored. Conflict if the name exists."""
        row = {name: getattr(study, name) for name in PLAIN}
        rest = {name: plain(Study, name, getattr(study, name)) for name in REST}
        self._add(STUDIES, row | {"rest": to_json(rest)}, f"there is a study `{study.name}` already")
        self._label(study)
        self._notes.studies[study.name] = {"state": study.state}

    def get(self, name: str, *, lock: bool = False) -> Study:
        """One study; ``lock`` keeps it to this transaction. Raises NotFound."""
        study = self.find(name, lock=lock)
        if study is None:
            raise NotFound(f"there is no study `{name:.100}`")
        return study

    def find(self, name: str, *, lock: bool = False) -> Study | None:
        """One study, or None."""
        if name not in self._found:
            statement = _STATEMENTS[self._connection.dialect.name, lock]
            row = self._connection.execute(statement, {"its_name": name}).one_or_none()
            if row is None:
                return None
            if _CLOCK in row._mapping:
                self._told_time(row._mapping[_CLOCK])
            self._found[name] = _study(row)
        return self._found[name]

    def state_of(self, name: str) -> str | None:
        """A study's state, also where nothing else of it can be read; None where there is none."""
        return self._connection.execute(select(STUDIES.c.state).where(STUDIES.c.name == name)).scalar_one_or_none()

    def fail_unread(self, name: str) -> str | None:
        """End a study whose row cannot be read: it fails, without a word in it. Answers its comparison's name."""
        ended = {"state": "failed", "finished_at": self._now()}
        statement = update(STUDIES).where(STUDIES.c.name == name).values(ended).returning(STUDIES.c.comparison)
        self._notes.studies[name] = {"state": "failed"}
        return self._connection.execute(statement).scalar_one()

    def change(self, name: str, **fields: Any) -> Study:
        """Set fields of a study; answers it as it is then. Raises NotFound."""
        old = self.get(name, lock=True)
        new = checked(Study, fields, CHANGEABLE)
        study = self._found[name] = old.model_copy(update=new)
        row = {field: value for field, value in new.items() if field in PLAIN}
        if len(row) < len(new):
            row["rest"] = to_json({field: plain(Study, field, getattr(study, field)) for field in REST})
        if row:
            self._connection.execute(update(STUDIES).where(STUDIES.c.name == name).values(row))
        if study.state != old.state:
            self._notes.studies[name] = {"state": study.state} | ({"error": study.error} if study.error else {})
        if fresh := [text for text in study.warnings if text not in old.warnings]:
            self._notes.warnings.setdefault(name, []).extend(fresh)
        if study.spec.labels != old.spec.labels:
            self._connection.execute(delete(LABELS).where(LABELS.c.study == name))
            self._label(study)
        return study

    def delete(self, name: str) -> None:
        """Erase a study with its trials and points. Raises NotFound."""
        self._found.pop(name, None)
        self._notes.forget(name)
        if self._connection.execute(delete(STUDIES).where(STUDIES.c.name == name)).rowcount == 0:
            raise NotFound(f"there is no study `{name:.100}`")

    def page(
        self, *, state: str | None = None, label: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Study]:
        """Studies, newest first.

        Args:
            state: only those in this state.
            label: only those with this label: ``key`` or ``key=value``.
            limit: at most so many, >= 1.
            cursor: ``next`` of the page before.

        Raises:
            InvalidInput: the cursor is none of this listing.
        """
        statement = select(STUDIES).order_by(STUDIES.c.id.desc()).limit(cursors.page_of(limit) + 1)
        if state is not None:
            statement = statement.where(STUDIES.c.state == state)
        if label is not None:
            key, _, value = label.partition("=")
            matches = or_(LABELS.c.key == label, and_(LABELS.c.key == key, LABELS.c.value == value))
            statement = statement.where(STUDIES.c.name.in_(select(LABELS.c.study).where(matches)))
        if cursor is not None:
            (after,) = cursors.read("studies", cursor, (int,))
            statement = statement.where(STUDIES.c.id < after)
        rows = self._connection.execute(statement).all()
        following = cursors.write("studies", (rows[limit - 1].id,)) if len(rows) > limit else None
        return Page[Study](items=tuple(map(_study, rows[:limit])), next=following)

    def open_owned(self, *, only: str | None = None) -> list[tuple[str, str]]:
        """(name, owner) of the studies that are queued or running, oldest first; ``only``: at most this one."""
        if only is not None:
            study = self.find(only)
            return [(only, study.owner)] if study is not None and study.state in OPEN else []
        return [(name, owner) for name, owner in self._connection.execute(_OPEN)]

    def states(self) -> dict[str, int]:
        """Number of studies by state."""
        statement = select(STUDIES.c.state, func.count()).group_by(STUDIES.c.state)
        return {str(state): count for state, count in self._connection.execute(statement)}

    def of_comparison(self, comparison: str) -> list[Study]:
        """A comparison's studies in order of creation."""
        statement = select(STUDIES).where(STUDIES.c.comparison == comparison).order_by(STUDIES.c.id)
        return [_study(row) for row in self._connection.execute(statement)]

    def states_of_comparison(self, comparison: str) -> set[str]:
        """The states that a comparison's studies are in."""
        statement = select(STUDIES.c.state).where(STUDIES.c.comparison == comparison)
        return set(self._connection.execute(statement).scalars())

    def _label(self, study: Study) -> None:
        labels = [
            {"study": study.name, "position": position, "key": key, "value": value}
            for position, (key, value) in enumerate(study.spec.labels.items())
        ]
        if labels:
            self._connection.execute(insert(LABELS), labels)


def _study(row: Row[*tuple[Any, ...]]) -> Study:
    columns = row._mapping
    return _parsed(tuple(columns[name] for name in PLAIN), columns["rest"])


@lru_cache(maxsize=512)
def _parsed(plain_values: tuple[Any, ...], text: str) -> Study:
    """A study of its columns; one is read at every report, so equal rows are parsed once."""
    rest = from_json(text)
    return Study.model_validate(
        dict(zip(PLAIN, plain_values, strict=True))
        | checked(Study, {name: rest[name] for name in REST if name in rest}, REST)
    )
