"""Points in the store: what trials measured, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, select
from sqlalchemy.exc import IntegrityError

from ..errors import InvalidInput
from ..study import Point, Purpose, mean_of
from .columns import finite, from_json
from .noun import Noun, refuse
from .tables import POINTS, TRIALS

# statements that every report runs are built once
_ITS = and_(
    POINTS.c.study == bindparam("its_study"),
    POINTS.c.number == bindparam("its_number"),
    POINTS.c.purpose == bindparam("its_purpose"),
)
_NEWEST = (
    select(POINTS.c.epoch, POINTS.c.rest)
    .where(_ITS, POINTS.c.seed == bindparam("its_seed"), POINTS.c.attempt >= bindparam("its_attempt"))
    .order_by(POINTS.c.epoch.desc())
    .limit(1)
)
_ATTEMPTS = select(POINTS.c.epoch, POINTS.c.seed, POINTS.c.attempt).where(
    _ITS, POINTS.c.epoch.between(bindparam("first"), bindparam("end"))
)
_EARLIER = (
    select(POINTS.c.number, POINTS.c.objective)
    .where(POINTS.c.study == bindparam("its_study"), POINTS.c.purpose == "trial")
    .where(POINTS.c.epoch == bindparam("its_epoch"))
    .where(
        # not a join, which SQLite would begin with every point of these trials
        POINTS.c.number.in_(
            select(TRIALS.c.number)
            .where(TRIALS.c.study == bindparam("its_study"), TRIALS.c.state == "completed")
            .where(TRIALS.c.number < bindparam("before"))
        )
    )
    .order_by(POINTS.c.number, POINTS.c.seed)
)


class Added(NamedTuple):
    """What became of added points.

    Attributes:
        fresh: points of epochs that were not stored before.
        again: points of epochs that an earlier attempt had reported: they were trained once more. Points that the
            same attempt had reported are in neither: the report was repeated, not the training.
    """

    fresh: list[Point]
    again: list[Point]


class Arrival(NamedTuple):
    """Points of one trial that are to be stored.

    Attributes:
        number: the trial's number.
        purpose: what they were trained for.
        attempt: the attempt that reports them.
        points: each with its seed and epoch.
        values: the study's objective at each of them.
        new: whether it is known that none of these epochs are stored yet, which saves looking.
    """

    number: int
    purpose: Purpose
    attempt: int
    points: Sequence[Point]
    values: Sequence[float | None]
    new: bool = False


class Points(Noun):
    """The verbs on points; all take the study's name first."""

    def add(self, study: str, arrivals: Sequence[Arrival]) -> list[Added]:
        """Store points, replacing those of the same trial, purpose, seed and epoch.

        Args:
            study: the study's name.
            arrivals: the points of several trials, none of them twice.

        Returns:
            What became of each arrival.

        Raises:
            InvalidInput: a point lacks its seed or epoch.
            NotFound: there is no such trial.
        """
        rows: list[dict[str, Any]] = []
        added = []
        for arrival in arrivals:
            its, last = _rows(study, arrival)
            keys = sorted(its)
            before = {} if arrival.new else self._attempts(study, arrival.number, arrival.purpose, keys)
            rows += last.values()
            fresh = [point for key, point in its.items() if key not in before]
            again = [point for key, point in its.items() if before.get(key, arrival.attempt) < arrival.attempt]
            added.append(Added(fresh, again))
        try:
            self._put(POINTS, rows)
        except IntegrityError as error:
            numbers = ", ".join(str(arrival.number) for arrival in arrivals[:10])
            missing = f"there is no such trial of study `{study:.100}` (adding to {numbers})"
            refuse(error, taken="these points are stored already", missing=missing)
        return added

    def of(self, study: str, number: int, *, purpose: Purpose = "trial") -> list[Point]:
        """Every point, by seed and epoch."""
        statement = select(POINTS.c.epoch, POINTS.c.seed, POINTS.c.rest).where(_its(study, number, purpose))
        rows = self._connection.execute(statement.order_by(POINTS.c.seed, POINTS.c.epoch))
        return [_point(epoch, seed, rest) for epoch, seed, rest in rows]

    def epochs_done(self, study: str, number: int, *, purpose: Purpose = "trial", seeds: Sequence[int]) -> int:
        """Epochs, from 1 without gaps, that every one of ``seeds`` has reported."""
        epoch = POINTS.c.epoch
        mine = and_(_its(study, number, purpose), POINTS.c.seed.in_(seeds))
        counts = select(epoch, func.count()).where(mine).group_by(epoch).order_by(epoch)
        done = 0
        for reported, count in self._connection.execute(counts):
            if reported != done + 1 or count < len(set(seeds)):
                break
            done = reported
        return done

    def last(
        self, study: str, number: int, *, purpose: Purpose = "trial", seeds: Sequence[int], attempt: int = 0
    ) -> dict[int, Point]:
        """Each seed's newest point, of ``attempt`` and later ones; seeds without any are left out."""
        its = {"its_study": study, "its_number": number, "its_purpose": purpose, "its_attempt": attempt}
        ends = {seed: self._connection.execute(_NEWEST, its | {"its_seed": seed}).first() for seed in sorted(seeds)}
        return {seed: _point(end.epoch, seed, end.rest) for seed, end in ends.items() if end is not None}

    def objective(self, study: str, number: int, *, purpose: Purpose = "trial") -> dict[int, dict[int, float | None]]:
        """The objective by epoch and seed, epochs in order."""
        statement = select(POINTS.c.epoch, POINTS.c.seed, POINTS.c.objective).where(_its(study, number, purpose))
        values: dict[int, dict[int, float | None]] = {}
        for epoch, seed, value in self._connection.execute(statement.order_by(POINTS.c.epoch, POINTS.c.seed)):
            values.setdefault(epoch, {})[seed] = value
        return values

    def objective_at(self, study: str, epoch: int, *, before: int) -> list[tuple[int, float | None]]:
        """The objective of earlier trials at one epoch.

        Args:
            study: the study's name.
            epoch: the finished epochs, from 1.
            before: trials numbered below this one.

        Returns:
            (number, mean over seeds) of the completed trials that reached the epoch, by number; None where the
            objective of a seed was not finite.
        """
        its = {"its_study": study, "its_epoch": epoch, "before": before}
        values: dict[int, list[float | None]] = {}
        for number, value in self._connection.execute(_EARLIER, its):
            values.setdefault(number, []).append(value)
        return [(number, mean_of(of_seeds)) for number, of_seeds in values.items()]

    def cut(self, study: str, number: int, *, after: int) -> None:
        """Erase a trial's own points beyond epoch ``after``."""
        self._connection.execute(delete(POINTS).where(_its(study, number, "trial"), POINTS.c.epoch > after))

    def _attempts(
        self, study: str, number: int, purpose: Purpose, keys: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], int]:
        """The attempt that reported each stored (epoch, seed) between the first and the last of ``keys``."""
        if not keys:
            return {}
        its = {"its_study": study, "its_number": number, "its_purpose": purpose}
        span = {"first": keys[0][0], "end": keys[-1][0]}
        return {(epoch, seed): attempt for epoch, seed, attempt in self._connection.execute(_ATTEMPTS, its | span)}


def _rows(study: str, arrival: Arrival) -> tuple[dict[tuple[int, int], Point], dict[tuple[int, int], dict[str, Any]]]:
    """The first point of every epoch and seed, and the row of the last one."""
    first: dict[tuple[int, int], Point] = {}
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for point, value in zip(arrival.points, arrival.values, strict=True):
        if point.epoch is None or point.seed is None:
            raise InvalidInput(f"a stored point has an epoch and a seed (got {point.epoch}, {point.seed})")
        first.setdefault((point.epoch, point.seed), point)
        rows[point.epoch, point.seed] = {
            "study": study,
            "number": arrival.number,
            "purpose": arrival.purpose,
            "epoch": point.epoch,
            "seed": point.seed,
            "attempt": arrival.attempt,
            "objective": finite(value),
            "rest": point.model_dump_json(exclude={"epoch", "seed"}, exclude_defaults=True, ensure_ascii=True),
        }
    return first, rows


def _its(study: str, number: int, purpose: Purpose) -> ColumnElement[bool]:
    return and_(POINTS.c.study == study, POINTS.c.number == number, POINTS.c.purpose == purpose)


def _point(epoch: int, seed: int, rest: str) -> Point:
    return Point.model_validate(from_json(rest) | {"epoch": epoch, "seed": seed})
