"""Completing a spec: what the task, the families and the optimiser supply where it is silent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema
from referencing import Registry

from .errors import Fault, InvalidInput
from .schedules import FAMILIES, share_of
from .space import Space, is_length
from .study import OPTIMIZERS, Budget, Fixed, Objective, Range, SpaceSpec, StudySpec, TaskOffer, TrainSpec
from .synonyms import nearest
from .trajectory import updates_per_epoch_of


def resolve(spec: StudySpec, offer: TaskOffer | None) -> StudySpec:
    """``spec`` with every default written out; resolving twice changes nothing.

    Args:
        spec: a spec as written.
        offer: its task as announced; None for ``task: external``.

    Raises:
        InvalidInput: the task does not know an option, a metric or an optimiser, or a parameter has no default.
    """
    changes: dict[str, Any] = {}
    initial_lr: Mapping[str, Any] | None = None
    if offer is not None:
        train, initial_lr = complete_train(spec.train or TrainSpec(), offer)
        changes["train"] = train
        changes["options"] = complete_options(spec.options, offer)
        changes["objective"] = complete_objective(spec.objective, offer)
    changes["space"] = complete_space(spec, initial_lr)
    sampler = spec.sampler
    if sampler.name == "tpe" and sampler.parallel is None:
        changes["sampler"] = sampler.model_copy(update={"parallel": StudySpec.DEFAULT_PARALLEL})
    complete = spec.model_copy(update=changes)
    return complete.model_copy(update={"budget": complete_budget(complete)})


def updates_per_epoch(spec: StudySpec, offer: TaskOffer | None) -> int | None:
    """U of a resolved spec's recipe; None for external loops and where the task does not say its size."""
    if offer is None or offer.train_examples is None or spec.train is None or spec.train.batch_size is None:
        return None
    return updates_per_epoch_of(offer.train_examples, spec.train.batch_size)


def complete_train(train: TrainSpec, offer: TaskOffer) -> tuple[TrainSpec, Mapping[str, Any] | None]:
    """The recipe with the task's defaults, and the default range of initial rates that goes with it."""
    default = offer.defaults.optimizer
    default_name = default if isinstance(default, str) else str(default.get("name"))
    filled = TrainSpec.read(
        {
            **train.model_dump(),
            "optimizer": train.optimizer if train.optimizer is not None else default,
            "batch_size": train.batch_size if train.batch_size is not None else offer.defaults.batch_size,
        }
    )
    assert filled.optimizer is not None
    name = filled.optimizer.name
    if offer.optimizers is not None and name not in offer.optimizers:
        known = ", ".join(offer.optimizers)
        raise InvalidInput(
            f"task `{offer.name}` trains with {known} only (got {name})", field="train.optimizer"
        )
    if offer.defaults.initial_lr is not None and name == default_name:
        return filled, offer.defaults.initial_lr
    return filled, OPTIMIZERS[name].INITIAL_LR


def complete_options(options: Mapping[str, Any], offer: TaskOffer) -> dict[str, Any]:
    """The task's options, checked by its JSON Schema, defaults written out."""
    schema = offer.options_schema
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    for name in options:
        if name not in properties and schema.get("additionalProperties") is not True:
            near = nearest(name, properties)
            known = ", ".join(properties) or "none"
            advice = f"did you mean `{near}`?" if near in properties else f"its options are: {known}"
            raise InvalidInput(f"task `{offer.name}` has no option `{name:.100}`; {advice}", field=f"options.{name}")
    defaults = {
        name: field["default"] for name, field in properties.items() if isinstance(field, dict) and "default" in field
    }
    filled = {**defaults, **options}
    validator = jsonschema.Draft202012Validator(schema, registry=Registry())
    faults = [
        Fault(".".join(["options", *(str(part) for part in error.absolute_path)]), error.message[:300])
        for error in validator.iter_errors(filled)
    ]
    if faults:
        raise InvalidInput("; ".join(map(str, faults)), faults)
    return filled


def complete_objective(objective: Objective, offer: TaskOffer) -> Objective:
    """The metric and its direction: by default the task's first."""
    metrics = {name: direction for name, direction in offer.metrics.items() if not name.startswith("test_")}
    if not metrics:
        raise InvalidInput(f"task `{offer.name}` announces no metric to search by", field="task")
    metric = objective.metric if objective.metric is not None else next(iter(metrics))
    if metric.startswith("test_"):
        raise InvalidInput(
            f"the test set is for the winner only: search by one of {', '.join(metrics)} (got {metric})",
            field="objective.metric",
        )
    if metric not in metrics:
        raise InvalidInput(
            f"task `{offer.name}` measures {', '.join(metrics)} (got {metric})", field="objective.metric"
        )
    return Objective(metric=metric, direction=objective.direction or metrics[metric])


def complete_space(spec: StudySpec, initial_lr: Mapping[str, Any] | None) -> SpaceSpec:
    """The space with a declaration for every parameter that has no default value; shares become numbers."""
    horizon = spec.epochs or spec.updates
    assert horizon is not None
    written = dict(spec.space.declarations)
    for family in spec.space.family:
        for name, field in FAMILIES[family].model_fields.items():
            if name not in written and name in FAMILIES[family].SEARCH:
                written[name] = Range.read(FAMILIES[family].SEARCH[name])
            elif name not in written and name == "initial_lr" and initial_lr is not None:
                written[name] = Range.read(dict(initial_lr))
            elif name not in written and name in FAMILIES[family].parameters() and field.is_required():
                raise InvalidInput(f"the space must say `{name}`", field=f"space.{name}")
    resolved = {name: _numbers(name, declared, float(horizon)) for name, declared in written.items()}
    return SpaceSpec.read({"family": spec.space.family, **resolved})


def _numbers(name: str, declared: Any, horizon: float) -> Any:
    """``declared`` with shares of the horizon turned into lengths."""
    if not is_length(name):
        return declared

    def number(value: Any) -> Any:
        try:
            return share_of(value, horizon) if isinstance(value, str) else value
        except ValueError as error:
            raise InvalidInput(str(error), field=f"space.{name}") from None

    if isinstance(declared, Range):
        low, high = number(declared.low), number(declared.high)
        if declared.step is None and declared.num is None and isinstance(declared.low, str):
            low = max(1.0, float(round(low)))
        return Fixed(value=low) if low >= high else Range.read({**declared.model_dump(), "low": low, "high": high})
    if isinstance(declared, Fixed):
        return Fixed(value=number(declared.value))
    return tuple(number(value) for value in declared) if isinstance(declared, tuple) else number(declared)


def complete_budget(spec: StudySpec) -> Budget:
    """Trials: all cells of a grid, 32 otherwise; baselines count."""
    if spec.budget.trials is not None:
        return spec.budget
    if spec.sampler.name == "grid":
        cells = Space(spec).n_cells
        assert cells is not None
        trials = cells + len(spec.baselines)
    elif spec.budget.epochs is not None or spec.budget.hours is not None:
        return spec.budget
    else:
        trials = StudySpec.DEFAULT_TRIALS
    return spec.budget.model_copy(update={"trials": trials})
