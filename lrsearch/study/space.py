"""What may vary, and how: the space of a study as it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    field_validator,
    model_serializer,
    model_validator,
)

from ..frozen import Flag, Frozen, Positive, Real, refuse_unknown
from ..schedules import CLOSED_FORMS, FAMILIES, GROUP_NAME, WIDER
from ..synonyms import nearest_family
from ..union import UNTAGGED, either
from .text import Text

MAX_CHOICES = 1000
MAX_PARAMETERS = 64
GROUPS = "groups"
Bound = Annotated[Real | str, either('a bound is a finite number, or, for lengths, a share of the horizon like "5%"')]


class Range(Frozen):
    """Numbers between two bounds, both included.

    ``num`` makes it that many points, evenly spaced (in the logarithm where ``log``); ``step`` makes it the points
    low, low + step, ... Lengths step by whole units of the horizon unless told otherwise, and may be bounded by
    shares (``"10%"``).
    """

    low: Bound
    high: Bound
    log: Flag = False
    num: Annotated[Positive, Field(ge=2, le=MAX_CHOICES)] | None = None
    step: Annotated[Real, Field(gt=0)] | None = None
    source: Text | None = None
    """Where the range came from, for people to read: the range test that `auto` stood for."""

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.num is not None and self.step is not None:
            raise ValueError("a range has `num` points or a `step`, not both")
        if self.log and self.step is not None:
            raise ValueError("a log range takes `num`, not `step`")
        if isinstance(self.low, str) or isinstance(self.high, str):
            return self
        if not self.low < self.high:
            raise ValueError(f"`low < high` must hold (got low {self.low:g}, high {self.high:g})")
        if self.log and not self.low > 0:
            raise ValueError(f"a log range needs `low > 0` (got {self.low:g})")
        return self


class Fixed(Frozen):
    """One value, for parameters that are themselves lists; a plain value means the same."""

    value: JsonValue


def _kind(value: Any) -> str:
    if isinstance(value, Range) or (isinstance(value, Mapping) and "value" not in value):
        return "range"
    if isinstance(value, Fixed | Mapping):
        return "fixed"
    return "choices" if isinstance(value, list | tuple) else "plain"


Declaration = Annotated[
    Annotated[Range, Tag("range")]
    | Annotated[Fixed, Tag("fixed")]
    | Annotated[tuple[JsonValue, ...], Field(min_length=1, max_length=MAX_CHOICES), Tag("choices")]
    | Annotated[JsonValue, Tag("plain")],
    Discriminator(_kind),
    UNTAGGED,
]
"""A parameter's declaration: a range, ``{"value": ...}``, a list of choices, or a plain value that is fixed."""


class Part(NamedTuple):
    """Parameters of one family that are declared together: the schedule's own, or those of a parameter group.

    Attributes:
        family: whose parameters they are.
        prefix: what their names begin with in the space: nothing, or ``groups.head.``.
    """

    family: str
    prefix: str = ""


def _with_groups(schema: dict[str, Any]) -> None:
    """Describe ``groups``; and a list of choices is a plain JSON value as well, so any of the kinds will do."""
    declared = schema["additionalProperties"]
    schema["additionalProperties"] = {"anyOf": declared["oneOf"]} if "oneOf" in declared else declared
    schema["properties"][GROUPS] = {
        "type": "object",
        "propertyNames": {"pattern": f"^{GROUP_NAME.pattern}$"},
        "additionalProperties": {
            "type": "object",
            "properties": {"family": {"enum": list(CLOSED_FORMS)}},
            "required": ["family"],
            "additionalProperties": schema["additionalProperties"],
        },
        "description": "Schedules of parameter groups with a rate of their own, by name: a family and its parameters, "
        "declared like all others. `train.groups` says what lies in each.",
    }


class SpaceSpec(Frozen):
    """The families searched, and a declaration for each parameter that is not left to its default.

    A name shared by families means the same in all of them, and is declared once. ``groups`` declares a schedule for
    each parameter group that has a rate of its own, of one family each; its parameters are called
    ``groups.head.initial_lr``, and may be declared by these names too.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=_with_groups)

    RESERVED: ClassVar[frozenset[str]] = frozenset({"family", "epochs", "updates", "eval_every"})

    family: tuple[str, ...]
    """One family, or a list of them."""
    __pydantic_extra__: dict[str, Declaration] = Field(init=False)

    @model_validator(mode="before")
    @classmethod
    def _flat_groups(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        groups = data.get(GROUPS, {})
        if not isinstance(groups, Mapping) or not all(isinstance(own, Mapping) for own in groups.values()):
            raise ValueError("`groups` is a mapping from a parameter group's name to its family and parameters")
        n_own = len(data) - (GROUPS in data) - ("family" in data)
        n = n_own + sum(len(own) or 1 for own in groups.values())
        if n > MAX_PARAMETERS:  # before any is looked at
            raise ValueError(f"a space has at most {MAX_PARAMETERS} parameters (got {n})")
        if GROUPS not in data:
            return data
        for group in groups:
            if not GROUP_NAME.fullmatch(str(group)):
                raise ValueError(f"a parameter group is named by small letters, digits and _ (got {group!r:.100})")
        flat = {f"{GROUPS}.{group}.{name}": own[name] for group, own in groups.items() for name in own}
        empty = {f"{GROUPS}.{group}.family": None for group, own in groups.items() if not own}
        return {**{name: value for name, value in data.items() if name != GROUPS}, **flat, **empty}

    @field_validator("family", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("family")
    @classmethod
    def _known_families(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("a space needs at least one family")
        for family in value:
            if family not in FAMILIES:
                meant = nearest_family(family, FAMILIES)
                advice = f"did you mean `{meant}`? " if meant else ""
                raise ValueError(f"unknown family {family!r:.100}; {advice}known are {', '.join(FAMILIES)}")
        if len(set(value)) != len(value):
            raise ValueError(f"a family is named once (got {', '.join(value)})")
        return value

    @model_validator(mode="after")
    def _known_parameters(self) -> Self:
        known = {name: None for family in self.family for name in FAMILIES[family].parameters()}
        names = list(self.declarations)
        own = [name for name in names if not name.startswith(f"{GROUPS}.")]
        refuse_unknown(own, {**known, GROUPS: None}, f" (families here: {', '.join(self.family)})")
        for group in self.groups:
            self._check_group(group)
        return self

    def _check_group(self, group: str) -> None:
        prefix = f"{GROUPS}.{group}."
        family = self.declarations.get(f"{prefix}family")
        if not isinstance(family, str) or family not in CLOSED_FORMS:
            raise ValueError(
                f"a parameter group has one `family` of {', '.join(CLOSED_FORMS)} (`{prefix}family` is {family!r:.100})"
            )
        names = [name.removeprefix(prefix) for name in self.declarations if name.startswith(prefix)]
        if shared := [name for name in names if name in (*WIDER, GROUPS)]:
            raise ValueError(f"`{shared[0]}` is the whole schedule's: say it beside `{GROUPS}`")
        refuse_unknown(names, {"family": None, **dict.fromkeys(FAMILIES[family].parameters())}, f" ({prefix}...)")

    @property
    def declarations(self) -> dict[str, Declaration]:
        """Every declared parameter by name; a group's ``groups.head.family`` is one of them."""
        return self.__pydantic_extra__

    @property
    def groups(self) -> tuple[str, ...]:
        """The parameter groups with a schedule of their own, sorted."""
        return tuple(sorted({name.split(".")[1] for name in self.declarations if name.startswith(f"{GROUPS}.")}))

    def parts(self, family: str) -> tuple[Part, ...]:
        """What makes up a schedule of ``family``: its own parameters, then those of every group."""
        own = (f"{GROUPS}.{group}." for group in self.groups)
        return (Part(family), *(Part(str(self.declarations[f"{prefix}family"]), prefix) for prefix in own))

    @model_serializer(mode="plain")
    def _as_written(self) -> dict[str, Any]:
        family = self.family[0] if len(self.family) == 1 else list(self.family)
        written: dict[str, Any] = {"family": family}
        for name, declared in self.declarations.items():
            if isinstance(declared, Range | Fixed):
                written[name] = declared.model_dump(exclude_none=True)
            else:
                written[name] = list(declared) if isinstance(declared, tuple) else declared
        return nested(written)


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` with those of parameter groups, ``groups.head.initial_lr``, as a mapping ``groups``."""
    found = {name: value for name, value in fields.items() if not name.startswith(f"{GROUPS}.")}
    for name, value in fields.items():
        if name not in found:
            _, group, own = name.split(".", 2)
            found.setdefault(GROUPS, {}).setdefault(group, {})[own] = value
    return found
