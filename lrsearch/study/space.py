"""What may vary, and how: the space of a study as it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

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
from ..schedules import FAMILIES
from ..synonyms import nearest_family
from ..union import UNTAGGED, either
from .text import Text

MAX_CHOICES = 1000
MAX_PARAMETERS = 64
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


class SpaceSpec(Frozen):
    """The families searched, and a declaration for each parameter that is not left to its default.

    A name shared by families means the same in all of them, and is declared once.
    """

    model_config = ConfigDict(extra="allow")

    RESERVED: ClassVar[frozenset[str]] = frozenset({"family", "epochs", "updates", "eval_every"})

    family: tuple[str, ...]
    """One family, or a list of them."""
    __pydantic_extra__: dict[str, Declaration] = Field(init=False)

    @field_validator("family", mode="before")
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
        if len(names) > MAX_PARAMETERS:
            raise ValueError(f"a space has at most {MAX_PARAMETERS} parameters (got {len(names)})")
        refuse_unknown(names, known, f" (families here: {', '.join(self.family)})")
        return self

    @property
    def declarations(self) -> dict[str, Declaration]:
        """Every declared parameter by name."""
        return self.__pydantic_extra__

    @model_serializer(mode="plain")
    def _as_written(self) -> dict[str, Any]:
        family = self.family[0] if len(self.family) == 1 else list(self.family)
        written: dict[str, Any] = {"family": family}
        for name, declared in self.declarations.items():
            if isinstance(declared, Range | Fixed):
                written[name] = declared.model_dump(exclude_none=True)
            else:
                written[name] = list(declared) if isinstance(declared, tuple) else declared
        return written
