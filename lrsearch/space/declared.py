"""From a spec's declarations to the dimensions of each family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import Fault
from ..frozen import MAX_INTEGER
from ..schedules import FAMILIES
from ..study import Fixed, Part, Range, SpaceSpec, StudySpec
from .dimensions import Choices, Dimension, Interval, Listed, Spaced, Steps, is_number, same, steps_between
from .lengths import resolved_length


def searched(family: str) -> Mapping[str, Any]:
    """What ``family`` searches over by itself: declarations by parameter."""
    return SpaceSpec.model_validate({"family": family, **FAMILIES[family].SEARCH}).declarations


def part_dimensions(spec: StudySpec, part: Part) -> tuple[dict[str, Dimension], list[Fault]]:
    """The dimensions of every parameter of ``part`` that is declared, or searched by default; and what is wrong."""
    parameters, lengths = FAMILIES[part.family].parameters(), FAMILIES[part.family].lengths()
    horizon, unit = spec.epochs or spec.updates, spec.eval_every or 1
    assert horizon is not None
    dimensions: dict[str, Dimension] = {}
    faults = []
    declarations = {**searched(part.family), **declared_in(spec.space, part)}
    # in the order of the fields: what is suggested must not depend on the order in which a spec was written or stored
    for name in parameters:
        field = f"{part.prefix}{name}"
        if name not in declarations:
            if FAMILIES[part.family].model_fields[name].is_required():
                faults.append(Fault(f"space.{field}", f"family {part.family} has no default for `{field}`: declare it"))
            continue
        declared = declarations[name]
        try:
            if name in lengths:
                declared = resolved_length(declared, horizon, unit)
            dimensions[name] = dimension_of(declared, unit if name in lengths else None)
        except ValueError as error:
            faults.append(Fault(f"space.{field}", str(error)))
    return dimensions, faults


def declared_in(space: SpaceSpec, part: Part) -> dict[str, Any]:
    """What a space declares of a part, by the parameters' own names."""
    prefix = part.prefix
    return {
        name.removeprefix(prefix): declared for name, declared in space.declarations.items() if name.startswith(prefix)
    }


def dimension_of(declared: Any, unit: int | None) -> Dimension:
    """One declaration as a dimension; ``unit`` is the default step where it is a length.

    Raises:
        ValueError: equal choices, shares where no length is meant, or more points than integers count.
    """
    if isinstance(declared, Fixed):
        return Choices((declared.value,))
    if isinstance(declared, tuple):
        return _choices(declared)
    if not isinstance(declared, Range):
        return Choices((declared,))
    low, high = declared.low, declared.high
    if isinstance(low, str) or isinstance(high, str):
        raise ValueError(f"only lengths are given as shares of the horizon (got low {low!r}, high {high!r})")
    if declared.num is not None:
        return Spaced(low, high, declared.num, declared.log)
    step = declared.step if declared.step is not None else unit
    if step is None:
        return Interval(low, high, declared.log)
    count = steps_between(low, high, step) + 1
    if count > MAX_INTEGER:
        raise ValueError(f"a range has fewer than 2^53 points (got low {low:g}, high {high:g}, step {step:g})")
    return Steps(low, step, count, declared.log)


def _choices(values: tuple[Any, ...]) -> Dimension:
    for index, value in enumerate(values):
        if any(same(value, other) for other in values[:index]):
            raise ValueError(f"choices differ from each other (got {value!r:.100} twice)")
    if len(values) > 2 and all(is_number(value) for value in values):
        return Listed(tuple(sorted(values)))
    return Choices(values)
