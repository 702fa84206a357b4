"""A model's fields, validated and dumped one by one: a row is changed without being read as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from ..frozen import invalid_input


@cache
def _adapters(model: type[BaseModel]) -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(field.rebuild_annotation()) for name, field in model.model_fields.items()}


def checked(model: type[BaseModel], fields: Mapping[str, Any], allowed: Iterable[str]) -> dict[str, Any]:
    """``fields`` as ``model`` would take them, so that what is stored can be read back.

    Raises:
        TypeError: a field is not among ``allowed``.
        InvalidInput: a value breaks its field's law.
    """
    if unknown := sorted(set(fields) - set(allowed)):
        raise TypeError(f"{model.__name__} has no field to change called {', '.join(unknown)}")
    adapters, values = _adapters(model), {}
    for name, value in fields.items():
        try:
            values[name] = adapters[name].validate_python(value)
        except ValidationError as error:
            raise invalid_input(error, prefix=name) from None
    return values


def plain(model: type[BaseModel], name: str, value: Any) -> Any:
    """The value of a field as JSON would hold it."""
    return _adapters(model)[name].dump_python(value, mode="json")
