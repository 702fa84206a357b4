"""The catalog: everything a spec may name, read off the registries."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel

from ..exports import TARGETS
from ..schedules import CLOSED_FORMS, FAMILIES, WARMUPS, Schedule
from ..search.samplers import SAMPLERS
from ..study import (
    OPTIMIZERS,
    AshaPruner,
    Catalog,
    HyperbandPruner,
    MedianPruner,
    NoPruner,
    Parameter,
    SamplerSpec,
    TaskOffer,
)
from ..study.catalog import Entry, ExportEntry, FamilyEntry, OptimizerEntry, WarmupEntry
from ..tasks.catalog import CATALOG

_NOT_VALUES = frozenset({"title", "description", "default"})
_AS_JSON_SCHEMA = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""Bounds that pydantic leaves in its own words, where a field may also be a string."""
PRUNERS = (NoPruner, MedianPruner, AshaPruner, HyperbandPruner)


def catalog(offers: Sequence[TaskOffer]) -> Catalog:
    """The catalog: its tasks are the built-in ones and ``offers``, what workers announced, which come first."""
    tasks = {**CATALOG, **{offer.name: offer for offer in offers}}
    return Catalog(
        tasks=tuple(tasks[name] for name in sorted(tasks)),
        families=tuple(_family(name, family) for name, family in FAMILIES.items()),
        warmups=tuple(
            WarmupEntry(
                name=shape.name, help=shape.help, formula=shape.formula.text, starts_at_zero=shape.starts_at_zero
            )
            for shape in WARMUPS.values()
        ),
        optimizers=tuple(
            OptimizerEntry(
                name=name,
                help=optimizer.HELP,
                parameters=parameters(optimizer, _all_but(optimizer, "name")),
                initial_lr=dict(optimizer.INITIAL_LR),
            )
            for name, optimizer in OPTIMIZERS.items()
        ),
        samplers=tuple(
            Entry(name=name, help=sampler.HELP, parameters=parameters(SamplerSpec, _all_but(SamplerSpec, "name")))
            for name, sampler in SAMPLERS.items()
        ),
        pruners=tuple(
            Entry(
                name=pruner.model_fields["name"].default,
                help=_first_line(pruner),
                parameters=parameters(pruner, _all_but(pruner, "name")),
            )
            for pruner in PRUNERS
        ),
        exports=tuple(
            ExportEntry(
                name=target.name, help=target.help, media_type=target.media_type, needs_updates=target.needs_updates
            )
            for target in TARGETS.values()
        ),
    )


def _family(name: str, family: type[Schedule]) -> FamilyEntry:
    return FamilyEntry(
        name=name,
        help=family.HELP,
        parameters=parameters(family, family.parameters()),
        formula=family.rule(),
        search=dict(family.SEARCH),
        in_groups=name in CLOSED_FORMS,
    )


def parameters(model: type[BaseModel], names: Iterable[str]) -> tuple[Parameter, ...]:
    """The named fields of a model: help from their docstrings, what is accepted from their JSON Schema."""
    schema = model.model_json_schema(mode="validation")
    fields: dict[str, dict[str, Any]] = schema["properties"]
    required = schema.get("required", [])
    return tuple(
        Parameter(
            name=name,
            help=" ".join(fields[name].get("description", "").split()),
            required=name in required,
            default=fields[name].get("default"),
            values={
                _AS_JSON_SCHEMA.get(key, key): value for key, value in fields[name].items() if key not in _NOT_VALUES
            },
        )
        for name in names
    )


def _all_but(model: type[BaseModel], *names: str) -> list[str]:
    return [name for name in model.model_fields if name not in names]


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0].rstrip(".")


__all__ = ["Catalog", "catalog", "parameters"]
