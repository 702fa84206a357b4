"""The study spec: one model for YAML, HTTP and the database's JSON column."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ..errors import InvalidInput
from ..frozen import MAX_INTEGER, AtMost, Frozen, Natural, Positive, Real
from ..schedules import GroupName
from ..union import either
from .optimizers import AnyOptimizer, named
from .pruners import AnyPruner, MedianPruner, NoPruner, RungPruner
from .space import SpaceSpec
from .stop import MetricName, Stop
from .text import FreeJson, Name, Text

EXTERNAL = "external"
"""The task that nobody trains but the user's own loop."""

Direction = Literal["minimize", "maximize"]
BatchSize = Annotated[Positive | Literal["full"], either("a batch size is a whole number >= 1, or `full`")]

Seed = Annotated[Natural, Field(le=MAX_INTEGER // 2)]
"""Further seeds, repeats' and arms', are counted up from it, and are integers below 2^53 too."""
Hours = Annotated[Real, Field(gt=0, le=1_000_000)]
"""Hours, up to a century: a clock can tell when they are over."""
ModulePath = Annotated[str, Field(pattern=r"^[^.\s][^\s]{0,199}$")]


def _apart(groups: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The groups by name; no module in two of them."""
    named = [path for paths in groups.values() for path in paths]
    for path in named:
        if named.count(path) > 1:
            raise ValueError(f"a module belongs to one parameter group (got {path} twice)")
    return dict(sorted(groups.items()))


class TrainSpec(Frozen):
    """The rest of the recipe: everything about training but the task and the rates. None = the task's default."""

    optimizer: AnyOptimizer | None = None
    batch_size: BatchSize | None = None
    clip_norm: Annotated[Real, Field(gt=0)] | None = None
    """Gradients are scaled down to this norm."""
    precision: Literal["float32", "float64", "bfloat16"] = "float32"
    """With bfloat16 the model computes in bfloat16 where torch's autocast holds that safe; weights, losses, gradients
    and the optimiser stay in float32."""
    groups: Annotated[
        dict[GroupName, Annotated[tuple[ModulePath, ...], Field(min_length=1, max_length=1000, fail_fast=True)]],
        AtMost(32),
        AfterValidator(_apart),
        Field(exclude_if=lambda value: not value),
    ] = {}
    """Parameter groups that may have a rate of their own: the modules (or parameters) of the model in each, named as
    ``model.named_parameters()`` does. What lies in several belongs to the longest name. A group that `space.groups`
    names and this does not is the module of its own name."""
    seed: Seed = 0
    """Weights, data order and dropout masks are drawn from it."""
    seeds: Annotated[Positive, Field(le=100)] = 1
    """How many seeds a schedule is trained on: seed, seed + 1, ...; its value is their mean."""


class SamplerSpec(Frozen):
    """How schedules are proposed."""

    name: Literal["grid", "random", "tpe"] = "tpe"
    seed: Seed = 0
    parallel: Positive | None = None
    """Suggestion n sees the results of trials 0..n-parallel. 8 for tpe; null (unlimited) for grid and random."""


class Objective(Frozen):
    """What is best."""

    metric: MetricName | None = None
    direction: Direction | None = None


class Budget(Frozen):
    """How much may be spent: whichever is reached first."""

    trials: Positive | None = None
    epochs: Positive | None = None
    """Epochs trained, over all trials and seeds."""
    hours: Hours | None = None
    """Hours since the study started."""


class Confirm(Frozen):
    """The best trials are trained again on fresh seeds before one is named."""

    top: Annotated[Positive, Field(le=100)] = 3
    seeds: Annotated[Positive, Field(le=100)] = 3


class Limits(Frozen):
    """When to give up."""

    failures_in_a_row: Positive | None = 5
    trial_hours: Hours | None = None
    """Hours since a worker began with a trial, or went on with it after a rung or a pause."""


NamedSampler = Annotated[SamplerSpec, BeforeValidator(named, json_schema_input_type=SamplerSpec | str)]


class StudySpec(Frozen):
    """A study as it is written; ``lrsearch.resolve`` fills in what the task, the families and the optimiser supply."""

    DEFAULT_TRIALS: ClassVar[int] = 32
    DEFAULT_PARALLEL: ClassVar[int] = 8

    name: Name | None = None
    task: Name
    options: FreeJson = {}
    epochs: Annotated[Positive, Field(le=100_000)] | None = None
    updates: Annotated[Positive, Field(le=1_000_000_000)] | None = None
    eval_every: Positive | None = None
    train: TrainSpec | None = None
    space: SpaceSpec
    sampler: NamedSampler = SamplerSpec()
    pruner: AnyPruner = NoPruner()
    objective: Objective = Objective()
    budget: Budget = Budget()
    baselines: Annotated[tuple[FreeJson, ...], Field(max_length=1000, fail_fast=True)] = ()
    """Schedules trained first, as trials 0, 1, ...; their horizon is the study's."""
    confirm: Confirm | None = None
    stop: Stop | None = None
    """Early stopping; no part of a trajectory: it only ends one."""
    limits: Limits = Limits()
    labels: Annotated[dict[Text, Text], AtMost(64)] = {}

    @model_validator(mode="before")
    @classmethod
    def _short_objective(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("objective"), str):
            return {**data, "objective": {"metric": data["objective"]}}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.epochs is None) == (self.updates is None):
            raise ValueError("a horizon is either `epochs`, or `updates` with `eval_every`")
        if (self.updates is None) != (self.eval_every is None):
            raise ValueError("`updates` and `eval_every` go together")
        if self.updates is not None and self.eval_every is not None and self.eval_every > self.updates:
            raise ValueError(f"`eval_every <= updates` must hold (got {self.eval_every} > {self.updates})")
        if self.updates is not None and self.eval_every is not None and self.updates / self.eval_every > 100_000:
            raise ValueError("a horizon has at most 100,000 reporting intervals; raise `eval_every`")
        if isinstance(self.pruner, RungPruner) and self.pruner.min_epochs >= self.intervals:
            raise ValueError(
                f"`pruner.min_epochs` < the horizon must hold, or there is no rung "
                f"(got {self.pruner.min_epochs} of {self.intervals} reporting intervals)"
            )
        if self.task == EXTERNAL:
            if self.space.declarations.get("initial_lr") == "auto":
                raise ValueError(
                    "`initial_lr: auto` is refused for task external: call lrsearch.range_test with your own update, "
                    "and write down the range that it suggests"
                )
            if self.train is not None:
                raise ValueError("`train` is refused for task external: your own loop owns it")
            if self.objective.metric is None or self.objective.direction is None:
                raise ValueError("an external study must say `objective: {metric: ..., direction: minimize}`")
            if self.confirm is not None:
                raise ValueError("`confirm` is refused for task external: seeds are your loop's")
        return self

    @property
    def horizon(self) -> dict[str, int]:
        """The fields that say how long a schedule is: ``{"epochs": 10}`` or updates and eval_every."""
        if self.epochs is not None:
            return {"epochs": self.epochs}
        assert self.updates is not None
        assert self.eval_every is not None
        return {"updates": self.updates, "eval_every": self.eval_every}

    @property
    def intervals(self) -> int:
        """Reporting intervals ("epochs" inside) of the horizon."""
        if self.epochs is not None:
            return self.epochs
        assert self.updates is not None
        assert self.eval_every is not None
        return -(-self.updates // self.eval_every)

    @property
    def external(self) -> bool:
        """Whether the user's own loop trains it."""
        return self.task == EXTERNAL

    @property
    def window(self) -> int | None:
        """Trial n is handed out once trials 0..n-window have ended; None = at once.

        A rule that stops trials for good needs one, so that what it compares with does not depend on timing; trials
        that wait at rungs need none: their arrivals are put in order.
        """
        if self.sampler.parallel is None and self.stops_for_good:
            return self.DEFAULT_PARALLEL
        return self.sampler.parallel

    @property
    def rungs(self) -> RungPruner | None:
        """The pruner whose rungs trials wait at. None for an external study: its loops cannot be paused."""
        return self.pruner if isinstance(self.pruner, RungPruner) and not self.external else None

    @property
    def stops_for_good(self) -> bool:
        """Whether trials are stopped as they report, never to go on: by the median, or at an external loop's rungs."""
        return isinstance(self.pruner, MedianPruner) or (isinstance(self.pruner, RungPruner) and self.external)

    @property
    def n_seeds(self) -> int:
        """Seeds a trial."""
        return self.train.seeds if self.train else 1

    @property
    def minimize(self) -> bool:
        """Whether smaller values are better."""
        return self.objective.direction != "maximize"

    def recipe(self) -> dict[str, Any]:
        """The recipe as written, seeds aside: what every trial of the study has in common."""
        recipe: dict[str, Any] = {"task": self.task, "options": self.options}
        if self.train is not None:
            recipe |= self.train.model_dump(mode="json", exclude={"seed", "seeds"})
        return recipe

    def seeds(self) -> list[int]:
        """The training seeds of a trial."""
        return list(range(self.train.seed, self.train.seed + self.train.seeds)) if self.train else [0]


def read_spec(data: Any) -> StudySpec:
    """A spec from YAML's or JSON's mapping.

    Raises:
        InvalidInput: with every broken law.
    """
    if not isinstance(data, dict):
        raise InvalidInput(f"a study spec is a mapping (got {type(data).__name__})")
    return StudySpec.read(data)
