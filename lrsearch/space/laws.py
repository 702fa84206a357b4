"""The laws a space must keep for every value it holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from ..errors import Fault
from ..frozen import faults_of
from ..schedules import FAMILIES, WARMUPS, listed, unequal, whole_updates
from ..study import Part, StudySpec
from .dimensions import Dimension

Dimensions = Mapping[str, Dimension]


@lru_cache(maxsize=256)
def _field(family: str, name: str) -> TypeAdapter[Any]:
    field = FAMILIES[family].model_fields[name]
    # a type made at run time, which no type checker can follow
    return TypeAdapter(Annotated[field.annotation, Field(), *field.metadata])  # type: ignore[arg-type]


def value_faults(part: Part, dimensions: Dimensions) -> Iterator[Fault]:
    """Values that the parameter's field refuses: one fault a parameter."""
    for name, dimension in dimensions.items():
        for value in dimension.extremes():
            try:
                _field(part.family, name).validate_python(value)
            except ValidationError as error:
                yield Fault(f"space.{part.prefix}{name}", faults_of(error)[0].message)
                break


def combination_faults(
    part: Part, dimensions: Dimensions, spec: StudySpec, updates_per_epoch: int | None
) -> Iterator[Fault]:
    """Values that no schedule of the horizon can take, each of them valid by itself."""
    family, where = part.family, f"space.{part.prefix}"
    horizon = spec.epochs or spec.updates
    assert horizon is not None
    per_unit = 1 if spec.updates is not None else updates_per_epoch
    for name in FAMILIES[family].lengths():
        lengths = [length for value in _values(family, dimensions, name) for length in listed(value)]
        if name == "warmup" and lengths:
            longest = max(lengths)
            if longest >= horizon or (per_unit and whole_updates(longest, per_unit) >= horizon * per_unit):
                yield Fault(
                    f"{where}warmup", f"every warm-up must end before the horizon (got warmup {longest:g} of {horizon})"
                )
        elif lengths and name not in FAMILIES[family].MAY_BE_ZERO:
            shortest = min(lengths)
            if shortest <= 0 or (per_unit and whole_updates(shortest, per_unit) < 1):
                updates = f" of {per_unit} updates" if per_unit else ""
                yield Fault(f"{where}{name}", f"`{name}` must last at least one update (got {shortest:g}{updates})")
    sizes = {name: {len(value) for value in _values(family, dimensions, name)} for name in FAMILIES[family].ALIGNED}
    for name, other in itertools.pairwise(sizes):
        wrong = [(mine, its) for mine in sizes[name] for its in sizes[other] if mine != its]
        if wrong:
            yield Fault(f"{where}{other}", unequal(dict(zip((name, other), min(wrong), strict=True))))
    if 0 in _values(family, dimensions, "warmup_start"):
        for shape in _values(family, dimensions, "warmup_shape"):
            if not WARMUPS[shape].starts_at_zero:
                yield Fault(f"{where}warmup_start", f"`warmup_start > 0` must hold for the warm-up shape {shape}")


def grid_faults(dimensions: Dimensions) -> Iterator[Fault]:
    """Parameters that have no points for a grid."""
    for name, dimension in dimensions.items():
        if dimension.n is None:
            low, high = dimension.extremes()
            yield Fault(
                f"space.{name}",
                f"a grid needs points: give the range `num` or `step`, or list choices (got {low:g} to {high:g})",
            )


def _values(family: str, dimensions: Dimensions, name: str) -> Sequence[Any]:
    if name in dimensions:
        return dimensions[name].extremes()
    field = FAMILIES[family].model_fields[name]
    # a default made from other fields is the family's own business
    return () if field.is_required() or field.default_factory is not None else (field.default,)
