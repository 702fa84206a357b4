"""The space of a study: what may vary, as suggestions, grid cells and schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import numpy as np
from pydantic import JsonValue, TypeAdapter, ValidationError

from .errors import Fault, InvalidInput
from .frozen import faults_of
from .schedules import FAMILIES, HORIZON, Schedule, whole_updates
from .study import Fixed, Range, StudySpec

MAX_CELLS = 1_000_000
"""A grid above this needs a trial budget."""


class Suggesting(Protocol):
    """What a sampler's trial offers: Optuna's three calls."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = ..., log: bool = ...) -> float:
        """A number from [low, high]."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """A whole number from [low, high]."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of ``choices``."""


@dataclass(frozen=True)
class Points:
    """A parameter that takes one of a list of values; ``ordered`` tells the sampler that neighbours are alike."""

    values: tuple[JsonValue, ...]
    ordered: bool

    def suggest(self, trial: Suggesting, name: str) -> JsonValue:
        """The suggested value: by position, so that every sampler yields exactly the listed one."""
        if len(self.values) == 1:
            return self.values[0]
        if self.ordered:
            return self.values[trial.suggest_int(name, 0, len(self.values) - 1)]
        return self.values[trial.suggest_categorical(name, tuple(range(len(self.values))))]

    def observed(self, value: JsonValue) -> int | None:
        """The position of a value, for the sampler's memory; None if it is not listed."""
        return next((i for i, listed in enumerate(self.values) if listed == value), None)


@dataclass(frozen=True)
class Interval:
    """A parameter that takes any number of an interval."""

    low: float
    high: float
    log: bool

    def suggest(self, trial: Suggesting, name: str) -> JsonValue:
        """The suggested number."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def observed(self, value: JsonValue) -> float | None:
        """The number itself; None outside of the interval."""
        inside = isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        return float(value) if inside else None  # type: ignore[arg-type]  # a number, where inside


Dimension = Points | Interval


class Space:
    """What a resolved spec lets vary.

    Args:
        spec: a spec that ``resolve`` has completed.
        updates_per_epoch: optimiser updates an epoch where known: lengths are then checked in whole updates too.

    Raises:
        InvalidInput: a declared value breaks its parameter's law, or some combination breaks the schedule's.
    """

    def __init__(self, spec: StudySpec, updates_per_epoch: int | None = None) -> None:
        self.spec = spec
        self.families = spec.space.family
        self._updates_per_epoch = updates_per_epoch
        self._dimensions: dict[str, Dimension] = {}
        faults: list[Fault] = []
        for name, declared in spec.space.declarations.items():
            try:
                dimension = dimension_of(name, declared, spec)
                check_values(name, dimension, self.families)
            except InvalidInput as error:
                faults += [Fault(f"space.{name}", fault.message) for fault in error.faults]
            else:
                self._dimensions[name] = dimension
        if faults:
            raise InvalidInput("; ".join(map(str, faults)), faults)
        self._check_lengths()
        self._check_grid()

    def dimensions(self, family: str) -> dict[str, Dimension]:
        """The declared parameters that ``family`` has, by name."""
        known = FAMILIES[family].parameters()
        return {name: dimension for name, dimension in self._dimensions.items() if name in known}

    def suggest(self, trial: Suggesting) -> dict[str, JsonValue]:
        """Parameters drawn by a sampler: what varies, and the family where there are several."""
        params: dict[str, JsonValue] = {}
        family = self.families[0]
        if len(self.families) > 1:
            family = trial.suggest_categorical("family", self.families)
            params["family"] = family
        for name, dimension in self.dimensions(family).items():
            value = dimension.suggest(trial, name)
            if varies(dimension):
                params[name] = value
        return params

    def observed(self, params: Mapping[str, JsonValue]) -> dict[str, Any] | None:
        """``params`` as the sampler names and counts them; None where they lie outside of the space."""
        family = params.get("family", self.families[0])
        if family not in self.families:
            return None
        observed: dict[str, Any] = {"family": family} if len(self.families) > 1 else {}
        for name, dimension in self.dimensions(str(family)).items():
            if varies(dimension):
                if (value := dimension.observed(params.get(name))) is None:
                    return None
                observed[name] = value
        return observed

    def schedule(self, params: Mapping[str, JsonValue]) -> Schedule:
        """The schedule of some parameters, fixed values and horizon added.

        Raises:
            InvalidInput: a parameter is missing or unknown, or breaks the schedule's laws.
        """
        family = params.get("family", self.families[0])
        if family not in self.families:
            known = ", ".join(self.families)
            raise InvalidInput(f"the family is one of {known} (got {family!r:.100})", field="params.family")
        fields: dict[str, Any] = {"family": family}
        dimensions = self.dimensions(str(family))
        for name, dimension in dimensions.items():
            if varies(dimension) and name not in params:
                raise InvalidInput(f"the space varies `{name}`: give it a value", field=f"params.{name}")
            fields[name] = params.get(name, dimension.values[0] if isinstance(dimension, Points) else None)
        unknown = [name for name in params if name != "family" and name not in dimensions]
        if unknown:
            known = ", ".join(name for name, dimension in dimensions.items() if varies(dimension))
            raise InvalidInput(f"the space does not vary `{unknown[0]:.100}` (it varies {known})", field="params")
        return self._made(fields)

    def baseline(self, fields: Mapping[str, Any]) -> Schedule:
        """A schedule from its own fields, with the study's horizon.

        Raises:
            InvalidInput: it states another horizon, or breaks the schedule's laws.
        """
        for name in HORIZON:
            if fields.get(name, self.spec.horizon.get(name)) != self.spec.horizon.get(name):
                raise InvalidInput(f"a study has one horizon: leave out `{name}` (got {fields[name]!r:.50})", field=name)
        return self._made(fields)

    def _made(self, fields: Mapping[str, Any]) -> Schedule:
        schedule = Schedule.read({**fields, **self.spec.horizon})
        if self._updates_per_epoch is not None or self.spec.updates is not None:
            schedule.clock(self._updates_per_epoch)
        return schedule

    @property
    def n_cells(self) -> int | None:
        """How many different parameters a grid has, families added up; None where something is continuous."""
        total = 0
        for family in self.families:
            dimensions = list(self.dimensions(family).values())
            if any(isinstance(dimension, Interval) for dimension in dimensions):
                return None
            total += math.prod(len(dimension.values) for dimension in dimensions if isinstance(dimension, Points))
        return total

    def cell(self, index: int) -> dict[str, JsonValue]:
        """The parameters of grid cell ``index`` in [0, n_cells): the last parameter moves fastest."""
        for family in self.families:
            points = {name: d for name, d in self.dimensions(family).items() if isinstance(d, Points)}
            size = math.prod(len(point.values) for point in points.values())
            if index >= size:
                index -= size
                continue
            params: dict[str, JsonValue] = {}
            for name, point in reversed(points.items()):
                index, position = divmod(index, len(point.values))
                if varies(point):
                    params[name] = point.values[position]
            head: dict[str, JsonValue] = {"family": family} if len(self.families) > 1 else {}
            return head | dict(reversed(params.items()))
        raise IndexError("the grid has fewer cells")

    def _check_lengths(self) -> None:
        horizon = self.spec.epochs or self.spec.updates
        assert horizon is not None
        per_unit = 1 if self.spec.updates is not None else self._updates_per_epoch
        warmup = self._dimensions.get("warmup")
        longest = max(_bounds(warmup)) if warmup is not None else 0.0
        if longest >= horizon or (per_unit and whole_updates(longest, per_unit) >= horizon * per_unit):
            raise InvalidInput(
                f"every warm-up must be shorter than the horizon (got {longest:g} of {horizon})", field="space.warmup"
            )
        start, shape = self._dimensions.get("warmup_start"), self._dimensions.get("warmup_shape")
        if start is not None and min(_bounds(start)) == 0 and isinstance(shape, Points) and "exponential" in shape.values:
            raise InvalidInput("an exponential warm-up needs `warmup_start > 0`", field="space.warmup_start")
        for family in self.families:
            for name in FAMILIES[family].lengths():
                dimension = self._dimensions.get(name)
                if name == "warmup" or dimension is None:
                    continue
                shortest = min(_bounds(dimension))
                if shortest <= 0 or (per_unit and whole_updates(shortest, per_unit) < 1):
                    raise InvalidInput(
                        f"`{name}` must last at least one update (got {shortest:g})", field=f"space.{name}"
                    )

    def _check_grid(self) -> None:
        if self.spec.sampler.name != "grid":
            return
        for name, dimension in self._dimensions.items():
            if isinstance(dimension, Interval):
                raise InvalidInput(
                    "a grid needs points: give the range `num` or `step`, or list the choices", field=f"space.{name}"
                )
        cells = self.n_cells
        if cells is not None and cells > MAX_CELLS and self.spec.budget.trials is None:
            raise InvalidInput(
                f"a grid has at most {MAX_CELLS:,} cells unless `budget.trials` is given (got {cells:,})",
                field="space",
            )


def varies(dimension: Dimension) -> bool:
    """Whether there is anything to choose."""
    return isinstance(dimension, Interval) or len(dimension.values) > 1


def is_length(name: str) -> bool:
    """Whether a parameter of this name is a length, in any family."""
    return any(name in family.lengths() for family in FAMILIES.values())


def dimension_of(name: str, declared: Any, spec: StudySpec) -> Dimension:
    """A declaration as points or an interval."""
    if isinstance(declared, Fixed):
        return Points((declared.value,), ordered=False)
    if isinstance(declared, tuple):
        distinct = [value for i, value in enumerate(declared) if not _among(value, declared[:i])]
        if len(distinct) < len(declared):
            raise InvalidInput(f"choices differ from each other (got {list(declared)!r:.100})")
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in declared)
        return Points(declared, ordered=numbers and sorted(declared) == list(declared) and len(declared) > 2)  # type: ignore[type-var]
    if not isinstance(declared, Range):
        return Points((declared,), ordered=False)
    if isinstance(declared.low, str) or isinstance(declared.high, str):
        raise InvalidInput(f"only lengths are given as shares of the horizon (got {declared.low!r}, {declared.high!r})")
    low, high, step = float(declared.low), float(declared.high), declared.step
    if declared.num is not None:
        spread = np.geomspace if declared.log else np.linspace
        return Points(tuple(float(value) for value in spread(low, high, declared.num)), ordered=True)
    if step is None and is_length(name):
        step = float(spec.eval_every or 1)
    if step is None:
        return Interval(low, high, declared.log)
    count = math.floor((high - low) / step * (1 + 1e-12) + 1e-9) + 1
    if count > MAX_CELLS:
        raise InvalidInput(f"a range has at most {MAX_CELLS:,} points (got {count:,}); widen `step`")
    return Points(tuple(low + i * step for i in range(count)), ordered=True)


def _among(value: Any, others: Sequence[Any]) -> bool:
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in others)


def _bounds(dimension: Dimension) -> tuple[float, ...]:
    if isinstance(dimension, Interval):
        return (dimension.low, dimension.high)
    return tuple(float(value) for value in dimension.values)  # type: ignore[arg-type]  # numbers, by check_values


def check_values(name: str, dimension: Dimension, families: Sequence[str]) -> None:
    """Every value against the field of every family that has the parameter. Raises InvalidInput."""
    values = (dimension.low, dimension.high) if isinstance(dimension, Interval) else dimension.values
    for family in families:
        field = FAMILIES[family].model_fields.get(name)
        if field is None:
            continue
        adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, *field.metadata])
        for value in values:
            try:
                adapter.validate_python(value)
            except ValidationError as error:
                raise InvalidInput("", [Fault("", fault.message) for fault in faults_of(error)][:1]) from None
