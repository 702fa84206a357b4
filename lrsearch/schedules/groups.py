"""Parameter groups with schedules of their own: a name, and how that group's rate moves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    SkipValidation,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from ..union import within
from .controls import WIDER

if TYPE_CHECKING:
    from .schedule import Schedule

HORIZON = ("epochs", "updates", "eval_every")
"""The fields that say how long a schedule is, in every family."""
SWITCHING = ("switch_to", "switch_at", "switch_factor", "switch_momentum")
"""What a group has from the whole schedule beside its horizon: one optimiser serves all groups."""
GROUP_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
"""What a parameter group is called: code is written with its name."""
GroupName = Annotated[str, Field(pattern=f"^{GROUP_NAME.pattern}$")]
_NAME: TypeAdapter[str] = TypeAdapter(GroupName)


def group_fields(schedule: Schedule) -> dict[str, Any]:
    """A group's schedule as it is written: without what it has from the whole one."""
    return schedule.model_dump(exclude={*HORIZON, *WIDER, "groups"})


def _read(value: Any, info: ValidationInfo) -> tuple[tuple[str, Schedule], ...]:
    from .families import CLOSED_FORMS, family_class

    if isinstance(value, tuple):
        value = dict(value)
    if not isinstance(value, Mapping):
        raise PydanticCustomError("groups", "`groups` is a mapping from a parameter group's name to its schedule")
    if not {*HORIZON, *SWITCHING} <= info.data.keys():
        return ()  # a field that all groups share is wrong, and said to be
    shared = {name: info.data[name] for name in (*HORIZON, *SWITCHING) if info.data[name] is not None}
    found = []
    for name in sorted(value):
        given = value[name] if isinstance(value[name], Mapping) else group_fields(value[name])
        try:
            _NAME.validate_python(name)
            _check_fields(given, shared)
            kind = family_class(given)
            if kind.METRIC_DRIVEN:
                known = ", ".join(CLOSED_FORMS)
                raise _fault("family", f"a parameter group has one of {known}", given["family"])
            found.append((name, kind.model_validate({**given, **shared})))
        except ValidationError as error:
            raise within(error, name) from None
    return tuple(found)


def _check_fields(given: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
    for name in HORIZON:
        if given.get(name) is not None and given[name] != shared.get(name):
            raise _fault(name, "the horizon is the whole schedule's: leave it out of a group", given[name])
    for name in (*WIDER, "groups"):
        if name in given:
            raise _fault(name, f"`{name}` is the whole schedule's: say it beside `groups`", given[name])


def _fault(field: str, law: str, got: Any) -> ValidationError:
    error = PydanticCustomError("group", "{law}", {"law": law})
    return ValidationError.from_exception_data("groups", [{"type": error, "loc": (field,), "input": got}])


def _written(groups: tuple[tuple[str, Schedule], ...]) -> dict[str, Any]:
    return {name: group_fields(schedule) for name, schedule in groups}


Groups = Annotated[
    tuple[tuple[str, SkipValidation[Any]], ...],
    BeforeValidator(_read),
    PlainSerializer(_written),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": f"^{GROUP_NAME.pattern}$"},
            "additionalProperties": {"type": "object", "required": ["family", "initial_lr"]},
        }
    ),
]
"""Names with schedules, by name; as data a mapping from name to a schedule's fields, without horizon."""
