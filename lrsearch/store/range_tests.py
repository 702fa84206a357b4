"""Range tests in the store."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, select, update

from ..errors import NotFound
from ..study import Page, RangeTest
from . import cursors
from .columns import from_json, to_json
from .fields import checked, plain
from .noun import Noun
from .tables import RANGE_TESTS

PLAIN = ("name", "owner", "state", "study", "created_at")
REST = ("spec", "result", "warnings", "error", "attempts", "worker", "started_at", "finished_at")


class RangeTests(Noun):
    """The verbs on range tests."""

    def add(self, test: RangeTest) -> None:
        """Store a range test. Conflict if the name exists."""
        row = {name: getattr(test, name) for name in PLAIN}
        rest = {name: plain(RangeTest, name, getattr(test, name)) for name in REST}
        self._add(RANGE_TESTS, row | {"rest": to_json(rest)}, f"there is a range test `{test.name}` already")

    def get(self, name: str) -> RangeTest:
        """One range test. Raises NotFound."""
        found = self.find(name)
        if found is None:
            raise NotFound(f"there is no range test `{name:.100}`")
        return found

    def find(self, name: str) -> RangeTest | None:
        """One range test, or None."""
        return next(iter(self._where(RANGE_TESTS.c.name == name)), None)

    def of_study(self, study: str) -> RangeTest | None:
        """The range test that a study asked for, or None."""
        return next(iter(self._where(RANGE_TESTS.c.study == study)), None)

    def queued(self) -> list[RangeTest]:
        """Those that nobody holds and that are to be made, the oldest first."""
        return self._where(RANGE_TESTS.c.state == "queued")

    def lease_of(self, name: str) -> str | None:
        """The lease that holds a range test; None where it is held by none."""
        return self._connection.execute(
            select(RANGE_TESTS.c.lease).where(RANGE_TESTS.c.name == name)
        ).scalar_one_or_none()

    def change(self, name: str, *, lease: str | None, **fields: Any) -> None:
        """Set fields of a range test, and who holds it. Raises NotFound."""
        new = checked(RangeTest, fields, ("state", *REST))
        found = self.get(name)
        row: dict[str, Any] = {"lease": lease, "state": new.pop("state", found.state)}
        rest = {name: plain(RangeTest, name, new.get(name, getattr(found, name))) for name in REST}
        its = RANGE_TESTS.c.name == name
        self._connection.execute(update(RANGE_TESTS).where(its).values(row | {"rest": to_json(rest)}))

    def page(self, *, limit: int = 50, cursor: str | None = None) -> Page[RangeTest]:
        """Range tests, newest first. Raises InvalidInput for a cursor of another listing."""
        statement = select(RANGE_TESTS).order_by(RANGE_TESTS.c.id.desc()).limit(cursors.page_of(limit) + 1)
        if cursor is not None:
            (after,) = cursors.read("range_tests", cursor, (int,))
            statement = statement.where(RANGE_TESTS.c.id < after)
        rows = self._connection.execute(statement).all()
        following = cursors.write("range_tests", (rows[limit - 1].id,)) if len(rows) > limit else None
        return Page[RangeTest](items=tuple(map(_range_test, rows[:limit])), next=following)

    def _where(self, condition: ColumnElement[bool]) -> list[RangeTest]:
        rows = self._connection.execute(select(RANGE_TESTS).where(condition).order_by(RANGE_TESTS.c.id))
        return [_range_test(row) for row in rows]


def _range_test(row: Row[*tuple[Any, ...]]) -> RangeTest:
    columns = row._mapping
    return RangeTest.model_validate({name: columns[name] for name in PLAIN} | from_json(columns["rest"]))
