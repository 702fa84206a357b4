"""A spec completed by its task, its optimiser and its families."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..errors import Fault, InvalidInput
from ..schedules import FAMILIES
from ..space import Space, resolved_length, searched
from ..study import OPTIMIZERS, Budget, Direction, Objective, SpaceSpec, Stop, StudySpec, TaskOffer, TrainSpec
from ..trajectory import updates_per_epoch_of
from .controlled import check_controls
from .measured import watched
from .options import complete_options

OBJECTIVES = ("val_", "train_")
"""How the names of metrics that may be searched by begin: the test set is for winners only."""


def resolve(spec: StudySpec, offer: TaskOffer | None) -> StudySpec:
    """``spec`` with every default written out; resolving twice changes nothing.

    What differs by family and is not declared (``decay_rate`` of step and exponential together) stays unwritten: a
    space declares a name once. ``Space`` takes it from each family.

    Args:
        spec: a spec as written.
        offer: its task as announced; not used for task external, whose recipe and options are the user's own.

    Raises:
        InvalidInput: with every broken law found in the first part that breaks one: recipe, options, objective;
            then space; then baselines.
    """
    changes: dict[str, Any] = {}
    initial_lr: Mapping[str, Any] | None = None
    if not spec.external:
        if offer is None:
            raise InvalidInput(f"nobody offers the task `{spec.task}`: start a worker that does", field="task")
        changes["train"], initial_lr = complete_train(spec.train or TrainSpec(), offer)
        changes["options"] = complete_options(spec.options, offer)
        changes["objective"] = complete_objective(spec.objective, offer)
    objective = changes.get("objective", spec.objective)
    if spec.stop is not None:
        changes["stop"] = complete_stop(spec.stop, objective, offer)
    changes["space"] = complete_space(spec, initial_lr, watched(spec, objective, offer))
    if spec.sampler.name == "tpe" and spec.sampler.parallel is None:
        changes["sampler"] = spec.sampler.model_copy(update={"parallel": StudySpec.DEFAULT_PARALLEL})
    if (train := changes.get("train")) is not None and (groups := changes["space"].groups):
        named = {group: train.groups.get(group, (group,)) for group in groups}
        changes["train"] = TrainSpec.read({**dict(train), "groups": {**train.groups, **named}})
    complete = spec.model_copy(update=changes)
    check_controls(complete, offer)
    space = Space(complete, updates_per_epoch(complete, offer))
    check_baselines(space)
    return complete.model_copy(update={"budget": complete_budget(space)})


def updates_per_epoch(spec: StudySpec, offer: TaskOffer | None) -> int | None:
    """U of a resolved spec's recipe.

    None where it is not needed or not known: for external loops, for horizons in updates (``eval_every`` counts there)
    and where the task does not say how many examples it trains on.
    """
    if spec.external or spec.updates is not None or spec.train is None or spec.train.batch_size is None:
        return None
    examples = None if offer is None else offer.examples(spec.options)
    return None if examples is None else updates_per_epoch_of(examples, spec.train.batch_size)


def complete_train(train: TrainSpec, offer: TaskOffer) -> tuple[TrainSpec, Mapping[str, Any]]:
    """The recipe with the task's defaults, and the declaration of ``initial_lr`` that goes with its optimiser."""
    try:
        default = TrainSpec.read({"optimizer": offer.defaults.optimizer}).optimizer
    except InvalidInput as error:
        if train.optimizer is None:
            raise InvalidInput(
                f"the default optimiser of task `{offer.name}` is not known here: name one ({error})",
                field="train.optimizer",
            ) from None
        default = None
    optimizer = train.optimizer or default
    assert optimizer is not None
    if offer.optimizers is not None and optimizer.name not in offer.optimizers:
        known = ", ".join(offer.optimizers)
        raise InvalidInput(
            f"task `{offer.name}` is trained with {known} only (got {optimizer.name})", field="train.optimizer"
        )
    batch_size = train.batch_size if train.batch_size is not None else offer.defaults.batch_size
    complete = train.model_copy(update={"optimizer": optimizer, "batch_size": batch_size})
    if offer.defaults.initial_lr is not None and default is not None and optimizer.name == default.name:
        return complete, offer.defaults.initial_lr
    return complete, OPTIMIZERS[optimizer.name].INITIAL_LR


def complete_objective(objective: Objective, offer: TaskOffer) -> Objective:
    """The metric and its direction: by default the task's first."""
    metrics = {name: direction for name, direction in offer.metrics.items() if name.startswith(OBJECTIVES)}
    known = ", ".join(metrics)
    if not metrics:
        raise InvalidInput(
            f"task `{offer.name}` announces no metric to search by: one named val_... or train_...", field="task"
        )
    metric = objective.metric or next(iter(metrics))
    if metric.startswith("test_"):
        raise InvalidInput(
            f"the test set is for the winner only: search by {known} (got {metric})", field="objective.metric"
        )
    if metric not in metrics:
        raise InvalidInput(f"task `{offer.name}` is searched by {known} (got {metric})", field="objective.metric")
    direction = metrics[metric]
    if objective.direction not in (None, direction):
        raise InvalidInput(
            f"task `{offer.name}` says {direction} for {metric}: leave the direction out (got {objective.direction})",
            field="objective.direction",
        )
    return Objective(metric=metric, direction=direction)


def complete_stop(stop: Stop, objective: Objective, offer: TaskOffer | None) -> Stop:
    """The stopping rule with its metric, by default the objective's, and that metric's direction."""
    metric = stop.metric or objective.metric
    assert metric is not None
    if metric.startswith("test_"):
        raise InvalidInput(f"the test set is for the winner only: stop by another metric (got {metric})", field="stop")
    known: dict[str, Direction] = {} if offer is None else dict(offer.metrics)
    known |= {metric.replace("val_", "train_", 1): direction for metric, direction in known.items()}
    known |= {"train_loss": "minimize", "val_loss": "minimize"} if offer is not None else {}
    if objective.metric is not None and objective.direction is not None:
        known[objective.metric] = objective.direction
    direction = stop.direction or known.get(metric)
    if direction is None:
        raise InvalidInput(
            f"nobody says whether smaller `{metric}` is better: add `direction: minimize` or `maximize`",
            field="stop.direction",
        )
    if direction != known.get(metric, direction):
        raise InvalidInput(f"{metric} is to {known[metric]}: leave the direction out", field="stop.direction")
    return stop.model_copy(update={"metric": metric, "direction": direction})


def complete_space(
    spec: StudySpec, initial_lr: Mapping[str, Any] | None, watched: Mapping[str, Any] = MappingProxyType({})
) -> SpaceSpec:
    """The space with its defaults declared, shares turned into numbers and steps of lengths written out."""
    families = spec.space.family
    written = {**spec.space.declarations, **watched}
    if initial_lr is not None and "initial_lr" not in written:
        written["initial_lr"] = SpaceSpec.read({"family": families, "initial_lr": initial_lr}).declarations[
            "initial_lr"
        ]
    for family in families:
        for name, declaration in searched(family).items():
            owners = [other for other in families if name in FAMILIES[other].parameters()]
            if name not in written and all(searched(other).get(name) == declaration for other in owners):
                written[name] = declaration
    for part in spec.space.parts(families[0])[1:]:
        own = {"initial_lr": written["initial_lr"]} if "initial_lr" in written else {}
        for name, declaration in (*own.items(), *searched(part.family).items()):
            written.setdefault(f"{part.prefix}{name}", declaration)
    horizon, unit = spec.epochs or spec.updates, spec.eval_every or 1
    assert horizon is not None
    parts = {part for family in families for part in spec.space.parts(family)}
    lengths = {f"{part.prefix}{name}" for part in parts for name in FAMILIES[part.family].lengths()}
    faults = []
    for name in lengths & written.keys():
        try:
            written[name] = resolved_length(written[name], horizon, unit)
        except ValueError as error:
            faults.append(Fault(f"space.{name}", str(error)))
    if faults:
        raise InvalidInput("; ".join(map(str, faults)), faults)
    return SpaceSpec.read({"family": families, **written})


def check_baselines(space: Space) -> None:
    """Raise InvalidInput for the baselines that are no schedule of the study's horizon."""
    faults = []
    for index, baseline in enumerate(space.spec.baselines):
        try:
            space.baseline(baseline)
        except InvalidInput as error:
            faults += [Fault(f"baselines.{index}.{fault.field}".rstrip("."), fault.message) for fault in error.faults]
    if faults:
        raise InvalidInput("; ".join(map(str, faults)), faults)


def complete_budget(space: Space) -> Budget:
    """Where no budget is given, 32 trials; of a grid all cells and the baselines."""
    budget = space.spec.budget
    if budget.trials is not None:
        return budget
    if space.spec.sampler.name == "grid":
        assert space.n_cells is not None
        return budget.model_copy(update={"trials": space.n_cells + len(space.spec.baselines)})
    if budget.epochs is not None or budget.hours is not None:
        return budget
    return budget.model_copy(update={"trials": StudySpec.DEFAULT_TRIALS})
