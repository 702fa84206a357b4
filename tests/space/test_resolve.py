from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lrsearch.errors import InvalidInput
from lrsearch.resolve import resolve, updates_per_epoch
from lrsearch.space import Space
from lrsearch.study import OPTIMIZERS, Fixed, Range, StudySpec, TaskOffer, read_spec

SpecOf = Callable[..., StudySpec]
SHORTEST = {"task": "digits-cnn", "epochs": 10, "space": {"family": ["step", "cosine"]}}
SPECS: list[dict[str, Any]] = [
    SHORTEST,
    {**SHORTEST, "epochs": 1},
    {**SHORTEST, "epochs": 3, "space": {"family": ["step", "exponential", "constant"]}},
    {**SHORTEST, "train": {"optimizer": "sgd", "batch_size": "full", "seeds": 2}, "sampler": "random"},
    {**SHORTEST, "options": {"head": {"bias": True}}, "objective": "val_accuracy"},
    {
        "task": "digits-cnn",
        "updates": 1000,
        "eval_every": 100,
        "space": {"family": "step", "warmup": ["5%", 50, 0, "10%"], "step_size": {"low": "7%", "high": "50%"}},
    },
    {
        **SHORTEST,
        "space": {
            "family": "step",
            "initial_lr": [0.1, 0.01],
            "decay_rate": {"value": 0.5},
            "step_size": {"low": 1, "high": "50%", "log": True},
            "warmup": "10%",
        },
        "sampler": "grid",
        "baselines": [{"family": "cosine", "initial_lr": 0.1, "warmup": "10%"}],
    },
]


@pytest.mark.parametrize("data", SPECS)
def test_resolving_twice_changes_nothing(data: dict[str, Any], offer: TaskOffer) -> None:
    once = resolve(read_spec(data), offer)
    assert resolve(once, offer) == once
    assert resolve(read_spec(once.model_dump(mode="json")), offer) == once


@pytest.mark.parametrize("data", SPECS)
def test_a_resolved_spec_says_it_all(data: dict[str, Any], offer: TaskOffer) -> None:
    spec = resolve(read_spec(data), offer)
    assert spec.train is not None
    assert None not in (spec.train.optimizer, spec.train.batch_size, spec.budget.trials)
    assert None not in (spec.objective.metric, spec.objective.direction)
    assert "%" not in spec.space.model_dump_json()
    assert "initial_lr" in spec.space.declarations
    Space(spec, updates_per_epoch(spec, offer))


def test_the_shortest_spec(offer: TaskOffer) -> None:
    spec = resolve(read_spec(SHORTEST), offer)
    assert spec.train is not None
    assert spec.train.optimizer is not None
    assert spec.train.optimizer.model_dump()["eps"] == 1e-7
    assert spec.train.batch_size == 64
    assert spec.options == {"dropout": 0.3, "batch_norm": False}
    assert (spec.objective.metric, spec.objective.direction) == ("val_loss", "minimize")
    assert spec.space.declarations == {
        "initial_lr": Range(low=1e-4, high=1e-2, log=True),
        "decay_rate": Range(low=0.1, high=0.7, num=4),
        "step_size": Range(low=1, high=5, step=1),
    }
    assert (spec.sampler.parallel, spec.budget.trials) == (8, 32)
    assert updates_per_epoch(spec, offer) == 23


def test_updates_per_epoch(offer: TaskOffer, spec_of: SpecOf) -> None:
    def of(data: dict[str, Any], offer: TaskOffer = offer) -> int | None:
        return updates_per_epoch(resolve(read_spec(data), offer), offer)

    assert of({**SHORTEST, "train": {"batch_size": "full"}}) == 1
    assert of({**SHORTEST, "train": {"batch_size": 1437}}) == 1
    assert of({**SHORTEST, "train": {"batch_size": 1436}}) == 2
    assert of(SPECS[5]) is None
    assert of(SHORTEST, offer.model_copy(update={"train_examples": None})) is None
    assert updates_per_epoch(resolve(spec_of({"family": "cosine", "initial_lr": 0.1}), None), None) is None


def test_rates_go_with_the_optimiser(offer: TaskOffer) -> None:
    spec = resolve(read_spec({**SHORTEST, "train": {"optimizer": "sgd"}}), offer)
    assert spec.space.declarations["initial_lr"] == Range.model_validate(OPTIMIZERS["sgd"].INITIAL_LR)
    spec = resolve(read_spec({**SHORTEST, "train": {"optimizer": "adam"}}), offer)
    assert spec.space.declarations["initial_lr"] == Range(low=1e-4, high=1e-2, log=True)
    with pytest.raises(InvalidInput, match="adam, sgd only") as refused:
        resolve(read_spec({**SHORTEST, "train": {"optimizer": "adamw"}}), offer)
    assert refused.value.faults[0].field == "train.optimizer"


def test_an_own_optimiser_takes_nothing_from_the_tasks(offer: TaskOffer) -> None:
    spec = resolve(read_spec({**SHORTEST, "train": {"optimizer": "adam"}}), offer)
    assert spec.train is not None
    assert spec.train.optimizer is not None
    assert spec.train.optimizer.model_dump()["eps"] == 1e-8


def test_defaults_of_a_task_from_a_newer_version(offer: TaskOffer) -> None:
    newer = offer.model_copy(
        update={"defaults": offer.defaults.model_copy(update={"optimizer": "muon"}), "optimizers": None}
    )
    with pytest.raises(InvalidInput, match="name one"):
        resolve(read_spec(SHORTEST), newer)
    spec = resolve(read_spec({**SHORTEST, "train": {"optimizer": "adam"}}), newer)
    assert spec.space.declarations["initial_lr"] == Range.model_validate(OPTIMIZERS["adam"].INITIAL_LR)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"options": {"dropuot": 0.1}}, "options.dropuot", "did you mean `dropout`?"),
        ({"options": {"layers": 3}}, "options.layers", "its options are: dropout, batch_norm, head"),
        ({"options": {"dropout": "much"}}, "options.dropout", "not of type 'number'"),
        ({"options": {"dropout": 1}}, "options.dropout", "1"),
        ({"options": {"head": {"width": 1.5}}}, "options.head.width", "not of type 'integer'"),
        ({"objective": "test_loss"}, "objective.metric", "for the winner only"),
        ({"objective": "val_auc"}, "objective.metric", "val_loss, val_accuracy, train_loss (got val_auc)"),
        ({"objective": {"metric": "val_loss", "direction": "maximize"}}, "objective.direction", "got maximize"),
        ({"sampler": "grid"}, "space.initial_lr", "`num` or `step`"),
        ({"space": {"family": "step", "decay_rate": 1.5}}, "space.decay_rate", "got 1.5"),
        ({"space": {"family": "step", "warmup": "120%"}}, "space.warmup", "120%"),
        ({"baselines": [{"family": "constant", "initial_lr": 1}, {"family": "step", "initial_lr": 1, "step_size": 2}]},
         "baselines.1.decay_rate", "required"),
        ({"baselines": [{"family": "cosine", "initial_lr": 1, "epochs": 9}]}, "baselines.0.epochs", "epochs 10"),
        ({"baselines": [{"family": "cosine", "initial_lr": 1, "warmup": 10}]}, "baselines.0", "warm-up"),
    ],
)  # fmt: skip
def test_refusals_name_the_field(changes: dict[str, Any], field: str, words: str, offer: TaskOffer) -> None:
    with pytest.raises(InvalidInput) as refused:
        resolve(read_spec({**SHORTEST, **changes}), offer)
    assert [fault.field for fault in refused.value.faults] == [field]
    assert words in str(refused.value)


def test_options_are_filled_at_every_depth_that_is_written(offer: TaskOffer) -> None:
    spec = resolve(read_spec({**SHORTEST, "options": {"head": {"bias": True}, "dropout": 0}}), offer)
    assert spec.options == {"dropout": 0, "batch_norm": False, "head": {"bias": True, "width": 128}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"properties": {"a": {"$ref": "http://localhost:1/elsewhere.json", "default": 1}}},
        {"properties": {"a": {"$ref": "#/$defs/none", "default": 1}}},
        {"properties": {"a": {"default": 1}}, "$ref": "#"},
    ],
)
def test_a_schema_that_cannot_be_followed_is_the_tasks_fault(schema: dict[str, Any], offer: TaskOffer) -> None:
    with pytest.raises(InvalidInput, match="options_schema"):
        resolve(read_spec(SHORTEST), offer.model_copy(update={"options_schema": schema}))


def test_a_task_may_allow_any_option(offer: TaskOffer) -> None:
    free = offer.model_copy(update={"options_schema": {"additionalProperties": True}})
    assert resolve(read_spec({**SHORTEST, "options": {"x": 1}}), free).options == {"x": 1}


def test_a_task_without_a_metric_to_search_by(offer: TaskOffer) -> None:
    for metrics in ({}, {"test_loss": "minimize"}, {"loss": "minimize"}):
        with pytest.raises(InvalidInput, match="no metric to search by"):
            resolve(read_spec(SHORTEST), offer.model_copy(update={"metrics": metrics}))


def test_external_studies_are_completed_where_they_can_be(spec_of: SpecOf) -> None:
    spec = resolve(spec_of({"family": "step", "initial_lr": [0.1, 0.2]}, options={"any": ["thing"]}), None)
    assert spec.train is None
    assert spec.options == {"any": ["thing"]}
    assert spec.space.declarations["step_size"] == Range(low=1, high=5, step=1)
    assert resolve(spec, None) == spec
    with pytest.raises(InvalidInput) as refused:
        resolve(spec_of({"family": ["step", "cosine"]}), None)
    assert refused.value.faults[0].field == "space.initial_lr"


def test_a_task_that_nobody_offers() -> None:
    with pytest.raises(InvalidInput, match="nobody offers the task"):
        resolve(read_spec(SHORTEST), None)


@pytest.mark.parametrize(
    ("changes", "trials"),
    [
        ({"sampler": "random"}, 32),
        ({"sampler": "grid"}, 4 * 4 * 5 + 4),
        ({"sampler": "grid", "baselines": [{"family": "constant", "initial_lr": 1}]}, 4 * 4 * 5 + 4 + 1),
        ({"sampler": "grid", "budget": {"trials": 7}}, 7),
        ({"sampler": "grid", "budget": {"hours": 7}}, 4 * 4 * 5 + 4),
        ({"budget": {"hours": 2}}, None),
        ({"budget": {"epochs": 100}}, None),
    ],
)
def test_budgets(changes: dict[str, Any], trials: int | None, spec_of: SpecOf) -> None:
    space = {"family": ["step", "cosine"], "initial_lr": {"low": 0.01, "high": 1, "num": 4}}
    assert resolve(spec_of(space, **changes), None).budget.trials == trials


def test_what_differs_by_family_stays_with_the_family(spec_of: SpecOf) -> None:
    spec = resolve(spec_of({"family": ["step", "exponential"], "initial_lr": [0.1, 0.2]}), None)
    assert list(spec.space.declarations) == ["initial_lr"]
    space = Space(spec)
    assert set(space.dimensions("step")) == {"initial_lr", "decay_rate", "step_size"}
    assert set(space.dimensions("exponential")) == {"initial_lr", "decay_rate"}
    assert space.dimensions("step")["decay_rate"] != space.dimensions("exponential")["decay_rate"]


@pytest.mark.parametrize(
    ("horizon", "declared", "resolved"),
    [
        ({"epochs": 20}, "5%", 1),
        ({"epochs": 10}, "5%", 0.5),
        ({"epochs": 20}, {"value": "5%"}, Fixed(value=1)),
        ({"epochs": 20}, [0, 1, "5%", "10%"], (0, 1, 2)),
        ({"epochs": 20}, {"low": "3%", "high": "33%"}, Range(low=1, high=6, step=1)),
        ({"epochs": 10}, {"low": "0%", "high": "30%"}, Range(low=0, high=3, step=1)),
        ({"epochs": 10}, {"low": 0.5, "high": 3}, Range(low=0.5, high=3, step=1)),
        ({"epochs": 10}, {"low": "1%", "high": "5%"}, 1),
        ({"epochs": 10}, {"low": "5%", "high": "25%", "num": 5}, Range(low=0.5, high=2.5, num=5)),
        ({"epochs": 10}, {"low": "5%", "high": "25%", "step": 0.5}, Range(low=0.5, high=2.5, step=0.5)),
        ({"epochs": 10}, {"low": 1, "high": 8, "log": True}, Range(low=1, high=8, log=True)),
        ({"updates": 1000, "eval_every": 50}, {"low": "1%", "high": "33%"}, Range(low=50, high=300, step=50)),
        ({"updates": 1000, "eval_every": 50}, {"low": 10, "high": 300}, Range(low=10, high=300, step=50)),
    ],
)
def test_lengths(horizon: dict[str, Any], declared: Any, resolved: Any, spec_of: SpecOf) -> None:
    spec = spec_of({"family": "cosine", "initial_lr": 1, "warmup": declared}, **{"epochs": None, **horizon})
    assert resolve(spec, None).space.declarations["warmup"] == resolved
