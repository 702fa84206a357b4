"""A task's options: checked by the JSON Schema it announces, with their defaults written out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jsonschema
import referencing
import referencing.exceptions
from pydantic import JsonValue

from ..errors import Fault, InvalidInput
from ..study import TaskOffer
from ..synonyms import nearest

MAX_FAULTS = 20


def complete_options(options: Mapping[str, JsonValue], offer: TaskOffer) -> dict[str, JsonValue]:
    """``options`` with the defaults of the task's schema, checked by it.

    References are followed within the schema only. Options that the schema does not name are refused, unless it
    allows ``additionalProperties`` or has ``patternProperties``.

    Raises:
        InvalidInput: an option breaks the schema, or the schema itself is none.
    """
    schema = offer.options_schema
    properties = _properties(schema)
    faults = [
        Fault(f"options.{name:.100}", _unknown(name, properties, offer.name))
        for name in options
        if name not in properties and not (schema.get("additionalProperties") or schema.get("patternProperties"))
    ]
    filled: dict[str, JsonValue] = _filled(dict(options), schema, schema)
    faults = faults or _schema_faults(filled, offer)
    if faults:
        raise InvalidInput("; ".join(map(str, faults)), faults)
    return filled


def _schema_faults(filled: dict[str, JsonValue], offer: TaskOffer) -> list[Fault]:
    try:
        jsonschema.Draft202012Validator.check_schema(offer.options_schema)
        # an empty registry: nothing is ever fetched
        validator = jsonschema.Draft202012Validator(offer.options_schema, registry=referencing.Registry())
        errors = [error for error, _ in zip(validator.iter_errors(filled), range(MAX_FAULTS), strict=False)]
    except (jsonschema.SchemaError, referencing.exceptions.Unresolvable, re.error, RecursionError) as error:
        law = f"task `{offer.name}` announces options that cannot be checked: its `options_schema` is no JSON Schema"
        raise InvalidInput(f"{law} ({str(error).splitlines()[0]:.200})", field="options") from None
    return [
        Fault(".".join(["options", *(str(part) for part in error.absolute_path)]), _message(error)) for error in errors
    ]


def _message(error: jsonschema.ValidationError) -> str:
    """A broken law in words: for a word that is not among many the nearest, for a pattern what it stands for."""
    among: Any = error.validator_value
    schema: Any = error.schema
    if error.validator == "enum" and isinstance(error.instance, str):
        near = nearest(error.instance, [str(value) for value in among])
        if near in among:
            return f"unknown value `{error.instance:.100}`; did you mean `{near}`?"
    if error.validator in ("pattern", "anyOf") and "description" in schema:
        return f"`{error.instance:.100}` must be: {schema['description']:.300}"
    return f"{error.message:.300}"


def _unknown(name: str, properties: Mapping[str, Any], task: str) -> str:
    near = nearest(name, properties)
    known = ", ".join(properties) or "none"
    advice = f"did you mean `{near}`?" if near in properties else f"its options are: {known}"
    return f"task `{task}` has no option `{name:.100}`; {advice}"


def _filled(value: Any, schema: Any, root: Mapping[str, Any]) -> Any:
    """``value`` with the defaults of the schema's properties, at every depth that is written."""
    schema = _target(schema, root)
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, part in _properties(schema).items():
        if name in filled:
            filled[name] = _filled(filled[name], part, root)
        elif isinstance(part, Mapping) and "default" in part:
            filled[name] = part["default"]
    return filled


def _target(schema: Any, root: Mapping[str, Any]) -> Any:
    """``schema``, or what its local reference (``#/$defs/...``) points to."""
    reference = schema.get("$ref") if isinstance(schema, Mapping) else None
    if not isinstance(reference, str) or not reference.startswith("#/$defs/"):
        return schema
    definitions = root.get("$defs")
    return definitions.get(reference.removeprefix("#/$defs/")) if isinstance(definitions, Mapping) else None


def _properties(schema: Any) -> Mapping[str, Any]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    return properties if isinstance(properties, Mapping) else {}
