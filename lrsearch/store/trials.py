"""Trials in the store: single ones, and pages of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, bindparam, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from ..errors import InvalidInput, NotFound
from ..study import Page, Trial
from . import cursors
from .climbing import Climbing
from .columns import from_json, to_json
from .fields import checked
from .holding import Holding
from .noun import refuse
from .tables import TRIALS
from .tally import Tally
from .trial_rows import CHANGEABLE, REST, WHOLE, columns_of, new_row, rest_of, trial_of

ORDERS = ("number", "value")
TRIAL_PAGE = Page[Trial]  # held here: pydantic makes it anew where nobody does
LARGEST = 2**63 - 1
"""The largest number that a column takes."""

# statements that every report runs are built once
_ITS = and_(TRIALS.c.study == bindparam("its_study"), TRIALS.c.number == bindparam("its_number"))
_ONE = WHOLE.where(_ITS)
_LOCKED = _ONE.with_for_update()
_REST = select(TRIALS.c.rest).where(_ITS).with_for_update()
_CHANGE = update(TRIALS).where(_ITS)
_FROM = (
    WHOLE.where(TRIALS.c.study == bindparam("its_study"), TRIALS.c.number > bindparam("after"))
    .order_by(TRIALS.c.number)
    .limit(bindparam("at_most"))
)


class Trials(Tally, Holding, Climbing):
    """The verbs on trials; all take the study's name first."""

    def add(self, study: str, trials: Sequence[Trial]) -> None:
        """Store trials. Raises Conflict if a number exists, NotFound if the study does not."""
        if not trials:
            return
        rows = [new_row(study, trial) for trial in trials]
        self.n_writes += 1
        try:
            self._connection.execute(insert(TRIALS), rows)
        except IntegrityError as error:
            numbers = ", ".join(str(trial.number) for trial in trials[:10])
            taken = f"study `{study}` has a trial of this number already (adding {numbers})"
            refuse(error, taken=taken, missing=f"there is no study `{study:.100}`")
        for trial in trials:
            if trial.state != "queued":
                self._notes.trial(study, trial.number, {"state": trial.state, "value": trial.value})

    def get(self, study: str, number: int, *, lock: bool = False) -> Trial:
        """One trial; ``lock`` keeps it to this transaction. Raises NotFound."""
        row = None
        if 0 <= number <= LARGEST:
            its = {"its_study": study, "its_number": number}
            row = self._connection.execute(_LOCKED if lock else _ONE, its).one_or_none()
        if row is None:
            raise _missing(study, number)
        return trial_of(row)

    def some(self, study: str, numbers: Iterable[int]) -> dict[int, Trial]:
        """Those of the trials of these numbers that exist."""
        wanted = sorted({number for number in numbers if 0 <= number <= LARGEST})
        return {trial.number: trial for trial in self._existing(study, wanted)}

    def change_all(self, study: str, changes: Iterable[tuple[Trial, Mapping[str, Any]]]) -> None:
        """Set fields of many trials, each as this transaction has read it, unchanged since, and none of them twice."""
        alike: dict[frozenset[str], list[dict[str, Any]]] = {}
        for trial, fields in changes:
            new = checked(Trial, fields, CHANGEABLE)
            self._notes.trial(study, trial.number, new, was=trial.state)
            row = columns_of(new) | {"its_study": study, "its_number": trial.number}
            if any(name in REST for name in new):
                row["rest"] = to_json(rest_of(new, trial))
            alike.setdefault(frozenset(row), []).append(row)
        self.n_writes += 1
        for columns, rows in alike.items():
            if len(columns) > len(("its_study", "its_number")):
                self._connection.execute(_CHANGE, rows)

    def change(self, study: str, which: int | Trial, /, **fields: Any) -> None:
        """Set fields of a trial. Raises NotFound.

        Args:
            study: the study's name.
            which: the trial's number; or the trial as this transaction has read it, unchanged since, which saves
                reading it again.
            fields: what is set.
        """
        number = which.number if isinstance(which, Trial) else which
        new = checked(Trial, fields, CHANGEABLE)
        row = columns_of(new)
        self.n_writes += 1
        its = {"its_study": study, "its_number": number}
        if any(name in REST for name in new):
            row["rest"] = to_json(rest_of(new, which) if isinstance(which, Trial) else self._rest(its) | rest_of(new))
        if row and self._connection.execute(_CHANGE, row | its).rowcount == 0:
            raise _missing(study, number)
        self._notes.trial(study, number, new, was=which.state if isinstance(which, Trial) else None)

    def _rest(self, its: dict[str, Any]) -> dict[str, Any]:
        old = self._connection.execute(_REST, its).scalar_one_or_none()
        if old is None:
            raise _missing(its["its_study"], its["its_number"])
        rest: dict[str, Any] = from_json(old)
        return rest

    def page(
        self,
        study: str,
        *,
        state: str | None = None,
        order: str = "number",
        minimize: bool = True,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Trial]:
        """A study's trials by number; or by value: the best first, ties by number, then those without a value.

        Args:
            study: its name.
            state: only those in this state.
            order: ``"number"`` or ``"value"``.
            minimize: whether smaller values are better.
            limit: at most so many, >= 1.
            cursor: ``next`` of the page before.

        Raises:
            InvalidInput: an unknown order, or a cursor of another listing.
        """
        if order not in ORDERS:
            raise InvalidInput(f"`order` is one of {', '.join(ORDERS)} (got {order!r:.100})", field="order")
        if order == "number" and state is None:
            return self._by_number(study, cursors.page_of(limit), cursor)
        number, value = TRIALS.c.number, TRIALS.c.value
        statement = select(number, value).where(TRIALS.c.study == study).limit(cursors.page_of(limit) + 1)
        if state is not None:
            statement = statement.where(TRIALS.c.state == state)
        kind = order if order == "number" else f"{order}{'+' if minimize else '-'}"
        if order == "number":
            statement = statement.order_by(number)
            if cursor is not None:
                (after,) = cursors.read(kind, cursor, (int,))
                statement = statement.where(number > after)
        else:
            statement = statement.order_by(value.is_(None), value if minimize else value.desc(), number)
            if cursor is not None:
                last, after = cursors.read(kind, cursor, (int | float | None, int))
                rest = and_(value.is_(None), number > after)
                if last is not None:
                    further = value > last if minimize else value < last
                    rest = or_(further, and_(value == last, number > after), value.is_(None))
                statement = statement.where(rest)
        keys = self._connection.execute(statement).all()
        following = None
        if len(keys) > limit:
            end = keys[limit - 1]
            following = cursors.write(kind, (end.number,) if order == "number" else (end.value, end.number))
        return TRIAL_PAGE(items=tuple(self._numbered(study, [key.number for key in keys[:limit]])), next=following)

    def _by_number(self, study: str, limit: int, cursor: str | None) -> Page[Trial]:
        (after,) = (-1,) if cursor is None else cursors.read("number", cursor, (int,))
        its = {"its_study": study, "after": after, "at_most": limit + 1}
        trials = [trial_of(row) for row in self._connection.execute(_FROM, its)]
        following = cursors.write("number", (trials[limit - 1].number,)) if len(trials) > limit else None
        return TRIAL_PAGE(items=tuple(trials[:limit]), next=following)

    def leaders(self, study: str, *, minimize: bool, top: int) -> list[Trial]:
        """The best completed trials: the confirmed first, by confirmed mean, then the others by value.

        Ties go to the lower number. A confirmation that measured nothing finite does not count as one.
        """
        return [trial_of(row) for row in self._ranked(WHOLE, study, minimize=minimize, top=top)]


def _missing(study: str, number: int) -> NotFound:
    return NotFound(f"there is no trial {number} of study `{study:.100}`")
