"""Events in the store: what happened, study by study, for as long as somebody may want to go on from there.

Ids rise in the order of commits: both databases have a single writer at a time (see ``database``), which draws them
within its turn, so an event never becomes visible after one with a higher id. They are never given out twice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select, update

from ..study import EVENTS, AnyEvent
from .columns import from_json, to_json
from .noun import Noun
from .tables import EVENTS as ROWS

KEPT = 5000
"""So many events of a study are kept."""
TRIM_EVERY = 500
"""About so many more may be there before the oldest are forgotten."""

_ITS = ROWS.c.study == bindparam("its_study")
_AFTER = (
    select(ROWS.c.id, ROWS.c.kind, ROWS.c.at, ROWS.c.data)
    .where(_ITS, ROWS.c.id > bindparam("after"))
    .order_by(ROWS.c.id)
    .limit(bindparam("at_most"))
)
_NEWEST = select(func.coalesce(func.max(ROWS.c.id), 0)).where(_ITS)
_OLDEST_KEPT = select(ROWS.c.id).where(_ITS).order_by(ROWS.c.id.desc()).offset(bindparam("kept")).limit(1)
_ADD = insert(ROWS)


class Happened(NamedTuple):
    """A row to be stored."""

    study: str
    kind: str
    data: dict[str, Any]


class Events(Noun):
    """The verbs on events."""

    def add(self, happened: list[Happened]) -> None:
        """Store events, in this order."""
        moment = self._now()
        rows = [{"study": it.study, "kind": it.kind, "at": moment, "data": to_json(it.data)} for it in happened]
        self._connection.execute(_ADD, rows)

    def after(self, study: str, number: int, *, limit: int) -> list[AnyEvent]:
        """A study's events with ids above ``number``, in order, at most ``limit``.

        The first is a ``reset`` where events above ``number`` are no longer kept.
        """
        its = {"its_study": study, "after": number, "at_most": limit}
        return [
            EVENTS[row.kind].model_validate({"id": row.id, "at": row.at, **from_json(row.data)})
            for row in self._connection.execute(_AFTER, its)
        ]

    def newest(self, study: str) -> int:
        """The id of a study's newest event, 0 where there is none."""
        return self._connection.execute(_NEWEST, {"its_study": study}).scalar_one()

    def trim(self, study: str, kept: int = KEPT) -> None:
        """Forget all but the newest; a ``reset`` stands for what was there."""
        last = self._connection.execute(_OLDEST_KEPT, {"its_study": study, "kept": kept}).scalar_one_or_none()
        if last is not None:
            its = ROWS.c.study == study
            self._connection.execute(delete(ROWS).where(its, ROWS.c.id < last))
            self._connection.execute(update(ROWS).where(ROWS.c.id == last).values(kind="reset", data="{}"))
