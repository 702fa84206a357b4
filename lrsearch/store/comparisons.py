"""Comparisons in the store."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, select, update

from ..errors import NotFound
from ..study import Comparison, Page
from . import cursors
from .columns import from_json, to_json
from .fields import checked, plain
from .noun import Noun
from .tables import COMPARISONS, STUDIES

PLAIN = ("name", "owner", "state", "created_at")
REST = ("spec", "result")


class Comparisons(Noun):
    """The verbs on comparisons."""

    def add(self, comparison: Comparison) -> None:
        """Store a comparison; which studies it is made of is said by the studies. Conflict if the name exists."""
        row = {name: getattr(comparison, name) for name in PLAIN}
        rest = {name: plain(Comparison, name, getattr(comparison, name)) for name in REST}
        self._add(COMPARISONS, row | {"rest": to_json(rest)}, f"there is a comparison `{comparison.name}` already")

    def get(self, name: str) -> Comparison:
        """One comparison. Raises NotFound."""
        comparison = self.find(name)
        if comparison is None:
            raise _missing(name)
        return comparison

    def find(self, name: str) -> Comparison | None:
        """One comparison, or None."""
        row = self._connection.execute(select(COMPARISONS).where(COMPARISONS.c.name == name)).one_or_none()
        return None if row is None else self._comparison(row)

    def change(self, name: str, **fields: Any) -> None:
        """Set the state or result of a comparison. Raises NotFound."""
        new = checked(Comparison, fields, ("state", "result"))
        old = self._connection.execute(
            select(COMPARISONS.c.rest).where(COMPARISONS.c.name == name)
        ).scalar_one_or_none()
        if old is None:
            raise _missing(name)
        row = {"state": new["state"]} if "state" in new else {}
        if "result" in new:
            row["rest"] = to_json(from_json(old) | {"result": plain(Comparison, "result", new["result"])})
        if row:
            self._connection.execute(update(COMPARISONS).where(COMPARISONS.c.name == name).values(row))

    def page(self, *, limit: int = 50, cursor: str | None = None) -> Page[Comparison]:
        """Comparisons, newest first. Raises InvalidInput for a cursor of another listing."""
        statement = select(COMPARISONS).order_by(COMPARISONS.c.id.desc()).limit(cursors.page_of(limit) + 1)
        if cursor is not None:
            (after,) = cursors.read("comparisons", cursor, (int,))
            statement = statement.where(COMPARISONS.c.id < after)
        rows = self._connection.execute(statement).all()
        following = cursors.write("comparisons", (rows[limit - 1].id,)) if len(rows) > limit else None
        return Page[Comparison](items=tuple(map(self._comparison, rows[:limit])), next=following)

    def _comparison(self, row: Row[*tuple[Any, ...]]) -> Comparison:
        columns = row._mapping
        its = select(STUDIES.c.name, STUDIES.c.state).where(STUDIES.c.comparison == columns["name"])
        studies = self._connection.execute(its.order_by(STUDIES.c.id)).all()
        fields = {name: columns[name] for name in PLAIN} | _rest(columns["rest"])
        fields["studies"] = tuple(study.name for study in studies)
        fields["progress"] = dict(sorted(Counter(study.state for study in studies).items()))
        return Comparison.model_validate(fields)


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no comparison `{name:.100}`")


@lru_cache(maxsize=64)
def _rest(text: str) -> dict[str, Any]:
    rest = from_json(text)
    return checked(Comparison, {name: rest[name] for name in REST}, REST)
