"""The ground under every word that travels: frozen pydantic models that refuse what they do not know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, cast

from pydantic import (
    AllowInfNan,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    Strict,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from .errors import Fault, InvalidInput
from .synonyms import nearest

MAX_INTEGER = 2**53 - 1
"""The largest integer that JSON's readers agree on."""

Real = Annotated[float, Strict(), AllowInfNan(False)]
"""A finite float; whole numbers are accepted, strings and booleans are not."""
Whole = Annotated[int, Strict(), Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
"""An integer below 2^53 in size; booleans and strings are not."""
Flag = Annotated[bool, Strict()]
"""True or false; 1 and "yes" are neither."""
Natural = Annotated[int, Strict(), Field(ge=0, le=MAX_INTEGER)]
"""An integer in [0, 2^53)."""
Positive = Annotated[int, Strict(), Field(ge=1, le=MAX_INTEGER)]
"""An integer in [1, 2^53)."""


@dataclass(frozen=True)
class AtMost:
    """Marks an object of at most ``n`` fields, counted before any is looked at: each could be a fault of its own."""

    n: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The object's own, with this bound, and a look at its size before."""
        schema = {**handler(source), "max_length": self.n}
        return core_schema.no_info_before_validator_function(self._count, cast("CoreSchema", schema))

    def _count(self, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > self.n:
            told = {"field_type": "Dictionary", "max_length": self.n, "actual_length": len(value)}
            raise PydanticKnownError("too_long", told)
        return value


Plain = str | int | float | bool
"""What a message may show of an input."""
NEWER = object()
"""As validation context: the data may come from a newer version, so fields it added are left out, not refused."""


class Frozen(BaseModel):
    """An immutable value with named fields: unknown fields are refused with the nearest known name."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_fields(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, Mapping) or data.keys() <= cls.__pydantic_fields__.keys():
            return data
        if cls.model_config.get("extra") != "forbid":
            return data
        if info.context is NEWER:
            return {key: value for key, value in data.items() if key in cls.model_fields}
        refuse_unknown([str(key) for key in data], cls.model_fields, cls._unknown_hint())
        return data

    @classmethod
    def _unknown_hint(cls) -> str:
        return ""

    @classmethod
    def read(cls, data: Any) -> Self:
        """Validate ``data`` (a mapping, or a model of this class).

        Raises:
            InvalidInput: with one fault for every broken law.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise invalid_input(error) from None


def refuse_unknown(names: list[str], known: Mapping[str, Any], hint: str = "") -> None:
    """Raise a validation error for the first of ``names`` that is not ``known``, naming the nearest known one."""
    for name in names:
        if name in known:
            continue
        ours = nearest(name, known)
        advice = f"; did you mean `{ours}`?" if ours else f"; known are {', '.join(known)}"
        raise PydanticCustomError(
            "unknown_field",
            "unknown field `{unknown}`{advice}{hint}",
            {"unknown": name[:100], "advice": advice, "hint": hint},
        )


def faults_of(error: ValidationError) -> list[Fault]:
    """A pydantic error as our faults: dotted field, law and value."""
    return faults_in(error.errors(include_url=False))


def faults_in(items: Iterable[Mapping[str, Any]]) -> list[Fault]:
    """What pydantic lists in an error, one fault an item."""
    faults = []
    for item in items:
        if item["type"] == "default_factory_not_called":  # only says that another field is at fault
            continue
        path = [str(part) for part in item["loc"]]
        context = item.get("ctx", {})
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "unknown_field":
            path.append(str(context["unknown"]))
        elif item["type"] != "missing" and "(got " not in message and isinstance(item["input"], Plain | None):
            message += f" (got {item['input']!r:.100})"
        faults.append(Fault(".".join(path), message))
    return faults


def invalid_input(error: ValidationError, prefix: str = "") -> InvalidInput:
    """``error`` as InvalidInput; ``prefix`` is put before every field's path."""
    faults = [Fault(".".join(part for part in (prefix, f.field) if part), f.message) for f in faults_of(error)]
    return InvalidInput("; ".join(str(fault) for fault in faults), faults)
