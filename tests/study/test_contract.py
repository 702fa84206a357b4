"""The examples of the public contract are read, dumped and read again; what breaks it is refused."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter

from lrsearch.errors import InvalidInput
from lrsearch.study import (
    OPTIMIZERS,
    ComparisonSpec,
    Lease,
    LeaseRequest,
    Point,
    ReportAnswer,
    ReportRequest,
    StudyPatch,
    StudySpec,
    TrialRequest,
    read_spec,
)

FULL = {
    "name": "mnist-step",
    "task": "mnist-cnn",
    "options": {"dropout": 0.3},
    "epochs": 10,
    "train": {
        "optimizer": {"name": "sgd", "momentum": 0.9},
        "batch_size": 64,
        "clip_norm": None,
        "precision": "float32",
        "seed": 0,
        "seeds": 1,
    },
    "space": {
        "family": "step",
        "initial_lr": {"low": 1e-4, "high": 1e-1, "log": True},
        "decay_rate": [0.1, 0.3, 0.5],
        "step_size": {"low": 1, "high": 5},
        "warmup": [0, 1, "5%"],
        "warmup_shape": "linear",
    },
    "sampler": {"name": "tpe", "seed": 0, "parallel": 8},
    "pruner": "none",
    "objective": {"metric": "val_loss"},
    "budget": {"trials": 64},
    "baselines": [{"family": "cosine", "initial_lr": 0.1}],
    "confirm": {"top": 3, "seeds": 3},
    "limits": {"failures_in_a_row": 5, "trial_hours": None},
    "labels": {"team": "vision"},
}
SHORTEST = {"task": "digits-cnn", "epochs": 10, "space": {"family": ["step", "cosine"]}}
EXTERNAL = {
    "task": "external",
    "updates": 20000,
    "eval_every": 500,
    "options": {"anything": [1, {"at": "all"}]},
    "space": {"family": "cosine", "initial_lr": {"low": 1e-4, "high": 1e-1, "log": True, "num": 5}},
    "objective": {"metric": "val_loss", "direction": "minimize"},
}
OFFER = {
    "name": "mnist-cnn",
    "version": "1",
    "train_examples": 54000,
    "metrics": {"val_loss": "minimize"},
    "options_schema": {"type": "object"},
    "defaults": {"optimizer": "adam", "batch_size": 64, "initial_lr": {"low": 1e-4, "high": 1e-1, "log": True}},
}
SCHEDULE = {
    "family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 3, "warmup": 1, "warmup_shape": "linear",
    "warmup_start": 0.01, "epochs": 10,
}  # fmt: skip
ASSIGNMENT = {
    "study": "mnist-step", "trial": 3, "attempt": 1, "purpose": "trial", "seeds": [0], "reported": 0, "recipe": {},
    "schedule": SCHEDULE, "until_epoch": 10,
}  # fmt: skip
POINT = {
    "epoch": 1, "seed": 0, "shared": False, "lr_first": 0.1, "lr_last": 0.1, "seconds": 1.2,
    "metrics": {"train_loss": 0.9, "val_loss": 0.8},
}  # fmt: skip
REPORT = {"study": "mnist-step", "trial": 3, "attempt": 1, "points": [POINT], "result": None}
EXAMPLES = [
    (StudySpec, FULL),
    (StudySpec, SHORTEST),
    (StudySpec, EXTERNAL),
    (StudySpec, SHORTEST | {"sampler": "grid", "pruner": "median", "objective": "val_accuracy"}),
    (StudySpec, SHORTEST | {"train": {"optimizer": "sgd", "batch_size": "full"}}),
    (StudySpec, SHORTEST | {"space": {"family": "step", "decay_rate": {"value": 0.5}, "warmup": "5%"}}),
    (StudySpec, SHORTEST | {"space": {"family": "step", "step_size": {"low": "10%", "high": "50%", "step": 0.5}}}),
    (StudyPatch, {"budget": {"trials": 128}, "labels": {"team": "text"}}),
    (TrialRequest, {"params": {"initial_lr": 0.1}}),
    (TrialRequest, {"schedule": SCHEDULE, "value": 0.25}),
    (TrialRequest, {"retry": 3}),
    (
        ComparisonSpec,
        {
            "name": "tpe-against-random",
            "spec": SHORTEST,
            "arms": [{"name": "tpe", "sampler": {"name": "tpe"}}, {"name": "random", "sampler": "random"}],
            "repeats": 10,
        },
    ),
    (LeaseRequest, {"worker": "a", "hold": 2, "study": "mnist-step", "tasks": [OFFER]}),
    (LeaseRequest, {"worker": "a", "hold": 0}),
    (LeaseRequest, {"worker": "host:1.gpu-0@rack", "hold": 2, "study": None, "tasks": None}),
    (
        Lease,
        {
            "lease": "x",
            "expires_at": "2026-01-01T00:00:00Z",
            "heartbeat_seconds": 15,
            "assignments": [ASSIGNMENT],
        },
    ),
    (ReportRequest, {"hold": 2, "reports": [REPORT]}),
    (ReportRequest, {"reports": []}),
    (ReportRequest, {"reports": [REPORT | {"points": [{"epoch": 1, "metrics": {"val_loss": None}}]}]}),
    (ReportRequest, {"reports": [REPORT | {"points": [{"update": 500, "metrics": {}}]}]}),
    (ReportRequest, {"reports": [REPORT | {"points": [], "result": {"state": "completed", "value": 0.6}}]}),
    (ReportRequest, {"reports": [REPORT | {"points": [], "result": {"state": "failed", "error": "out of memory"}}]}),
    (
        ReportAnswer,
        {
            "expires_at": "2026-01-01T00:00:00Z",
            "assignments": [ASSIGNMENT],
            "directives": [{"study": "mnist-step", "trial": 3, "do": "stop", "why": "pruned"}],
            "rejected": [{"study": "mnist-step", "trial": 3, "attempt": 1, "reason": "lost"}],
            "warnings": [],
        },
    ),
]


@pytest.mark.parametrize(("model", "example"), EXAMPLES)
def test_an_example_of_the_contract_is_read_dumped_and_read_equal(model, example):
    read = model.read(example)
    for mode in ("python", "json"):
        assert model.read(read.model_dump(mode=mode)) == read
    text = read.model_dump_json()
    assert model.model_validate_json(text) == read
    assert json.loads(text) == read.model_dump(mode="json")
    json.dumps(read.model_dump(mode="json"), allow_nan=False)


def test_what_is_written_is_what_is_kept():
    dumped = StudySpec.read(FULL).model_dump(mode="json")
    lengths = {"step_size": {"low": 1, "high": 5, "log": False}}
    assert dumped["space"] == FULL["space"] | lengths
    for name in ("task", "options", "epochs", "sampler", "confirm", "limits", "labels", "baselines"):
        assert dumped[name] == FULL[name]
    assert dumped["pruner"] == {"name": "none"}
    assert dumped["train"]["optimizer"] == {
        "name": "sgd", "momentum": 0.9, "weight_decay": 0.0, "dampening": 0.0, "nesterov": False,
    }  # fmt: skip


def test_short_forms_mean_the_long_ones():
    def same(short, long):
        assert StudySpec.read(SHORTEST | short) == StudySpec.read(SHORTEST | long)

    same({"sampler": "grid"}, {"sampler": {"name": "grid"}})
    same({"pruner": "median"}, {"pruner": {"name": "median"}})
    same({"objective": "val_loss"}, {"objective": {"metric": "val_loss"}})
    same({"space": {"family": "step"}}, {"space": {"family": ["step"]}})
    for name in OPTIMIZERS:
        same({"train": {"optimizer": name}}, {"train": {"optimizer": {"name": name}}})


def test_numbers_that_are_not_finite_are_null_in_points_only():
    point = Point.model_validate({"epoch": 1, "lr_first": float("inf"), "metrics": {"val_loss": float("nan")}})
    assert point.lr_first is None
    assert point.metrics == {"val_loss": None}
    with pytest.raises(InvalidInput):
        TrialRequest.read({"value": float("nan"), "schedule": SCHEDULE})


def test_a_recipe_is_everything_but_the_seeds():
    spec = StudySpec.read(FULL)
    recipe = spec.recipe()
    assert recipe["task"] == "mnist-cnn"
    assert recipe["options"] == {"dropout": 0.3}
    assert recipe["optimizer"]["momentum"] == 0.9
    assert not {"seed", "seeds"} & set(recipe)
    assert StudySpec.read(FULL | {"train": FULL["train"] | {"seed": 5, "seeds": 3}}).recipe() == recipe
    assert StudySpec.read(FULL | {"train": FULL["train"] | {"seed": 5, "seeds": 3}}).seeds() == [5, 6, 7]
    assert StudySpec.read(EXTERNAL).recipe() == {"task": "external", "options": EXTERNAL["options"]}


@pytest.mark.parametrize("model", [StudySpec, ComparisonSpec, LeaseRequest, Lease, ReportRequest, ReportAnswer])
@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_every_word_has_a_json_schema(model, mode):
    schema = TypeAdapter(model).json_schema(mode=mode)
    assert json.loads(json.dumps(schema))["properties"]


def changed(path, value):
    """FULL with the field at a dotted path replaced."""
    spec = json.loads(json.dumps(FULL))
    *parents, last = path.split(".")
    target = spec
    for name in parents:
        target = target[name]
    target[last] = value
    return spec


@pytest.mark.parametrize(
    ("path", "value", "ours"),
    [
        ("n_trials", 5, "budget.trials"),
        ("num_samples", 5, "budget.trials"),
        ("timeout", 5, "budget.hours"),
        ("goal", "minimize", "objective.direction"),
        ("direction", "minimize", "objective.direction"),
        ("mode", "min", "objective.direction"),
        ("metric", "val_loss", "objective.metric"),
        ("num_epochs", 5, "epochs"),
        ("search_space", {}, "space"),
        ("optimizer", "sgd", "train.optimizer"),
        ("batch_size", 64, "train.batch_size"),
        ("seed", 3, "train.seed"),
        ("budget.n_trials", 5, "trials"),
        ("objective.goal", "minimize", "direction"),
        ("space.gamma", 0.5, "decay_rate"),
        ("space.lr", 0.5, "initial_lr"),
        ("space.learning_rate", 0.5, "initial_lr"),
        ("space.max_lr", 0.5, "initial_lr"),
        ("space.eta_min", 0.5, "final_factor"),
        ("space.warmup_steps", 5, "warmup"),
        ("space.warmup_ratio", 0.1, "warmup"),
        ("space.pct_start", 0.1, "warmup"),
        ("space.T_max", 10, "epochs"),
        ("space.initial_lr.min", 0.1, "low"),
        ("train.grad_clip", 1.0, "clip_norm"),
        ("train.optim", "sgd", "optimizer"),
        ("sampler.random_state", 1, "seed"),
        ("trian", {}, "train"),
        ("space.inital_lr", 0.1, "initial_lr"),
    ],
)
def test_an_unknown_field_is_answered_with_ours(path, value, ours):
    with pytest.raises(InvalidInput) as error:
        read_spec(changed(path, value))
    (fault,) = error.value.faults
    assert fault.field == path
    assert f"did you mean `{ours}`" in fault.message


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("name", "Upper", "name"),
        ("name", "../../etc/passwd", "name"),
        ("name", "a" * 101, "name"),
        ("name", "", "name"),
        ("task", 5, "task"),
        ("task", None, "task"),
        ("epochs", 0, "epochs"),
        ("epochs", 1.5, "epochs"),
        ("epochs", "10", "epochs"),
        ("epochs", True, "epochs"),
        ("epochs", 10**7, "epochs"),
        ("epochs", None, ""),
        ("updates", 100, ""),
        ("eval_every", 100, ""),
        ("options", [], "options"),
        ("options", {"x": float("nan")}, "options"),
        ("train.optimizer", "sgdd", "train.optimizer"),
        ("train.optimizer.lr", 0.1, "train.optimizer.lr"),
        ("train.optimizer.momentum", 1, "train.optimizer.momentum"),
        ("train.optimizer.momentum", "0.9", "train.optimizer.momentum"),
        ("train.optimizer.nesterov", "yes", "train.optimizer.nesterov"),
        ("train.batch_size", 0, "train.batch_size"),
        ("train.precision", "float16", "train.precision"),
        ("train.seed", -1, "train.seed"),
        ("train.seeds", 0, "train.seeds"),
        ("train.clip_norm", 0, "train.clip_norm"),
        ("space", {}, "space.family"),
        ("space", [], "space"),
        ("space.family", [], "space.family"),
        ("space.family", ["step", "step"], "space.family"),
        ("space.family", "stepp", "space.family"),
        ("space.initial_lr", {"low": 1, "high": 0.1}, "space.initial_lr"),
        ("space.initial_lr", {"low": 0, "high": 0.1, "log": True}, "space.initial_lr"),
        ("space.initial_lr", {"low": 0.1}, "space.initial_lr.high"),
        ("space.initial_lr", {"low": 0.1, "high": 1, "num": 1}, "space.initial_lr.num"),
        ("space.initial_lr", {"low": 0.1, "high": 1, "num": 5, "step": 0.1}, "space.initial_lr"),
        ("space.initial_lr", {"low": 0.1, "high": 1, "step": 0}, "space.initial_lr.step"),
        ("space.initial_lr", {"low": float("nan"), "high": 1}, "space.initial_lr.low"),
        ("space.initial_lr", [], "space.initial_lr"),
        ("space.initial_lr", [0.1] * 1001, "space.initial_lr"),
        ("sampler", "bayes", "sampler.name"),
        ("sampler.parallel", 0, "sampler.parallel"),
        ("pruner", "hyper", "pruner"),
        ("pruner", {"name": "median", "startup_trials": -1}, "pruner.startup_trials"),
        ("objective.metric", "a b", "objective.metric"),
        ("objective", {"metric": "loss", "direction": "down"}, "objective.direction"),
        ("budget.trials", 0, "budget.trials"),
        ("budget", {"hours": 0}, "budget.hours"),
        ("confirm.top", 0, "confirm.top"),
        ("limits.failures_in_a_row", 0, "limits.failures_in_a_row"),
        ("labels", {"a": "\x00"}, "labels.a"),
        ("labels", {"a": "\ud800"}, "labels.a"),
        ("labels", {"a": 1}, "labels.a"),
    ],
)
def test_a_spec_that_breaks_a_law_is_refused_with_the_field(path, value, field):
    with pytest.raises(InvalidInput) as error:
        read_spec(changed(path, value))
    assert field in [fault.field for fault in error.value.faults]
    assert all(fault.message for fault in error.value.faults)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"train": {"seed": 1}}, "`train` is refused"),
        ({"objective": {"metric": "loss"}}, "must say `objective"),
        ({"objective": {"direction": "minimize"}}, "must say `objective"),
        ({"confirm": {}}, "`confirm` is refused"),
        ({"eval_every": 20001}, "`eval_every <= updates` must hold"),
        ({"updates": 10**9, "eval_every": 1}, "at most 100,000 reporting intervals"),
    ],
)
def test_an_external_study_leaves_training_to_the_loop(change, says):
    with pytest.raises(InvalidInput, match=says):
        read_spec(EXTERNAL | change)


@pytest.mark.parametrize("rubbish", [None, [], "task: x", 3])
def test_what_is_no_mapping_is_no_spec(rubbish):
    with pytest.raises(InvalidInput, match="a study spec is a mapping"):
        read_spec(rubbish)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"arms": [{"name": "a", "sampler": "tpe"}]}, "at least 2"),
        ({"arms": [{"name": "a", "sampler": "tpe"}, {"name": "a", "sampler": "grid"}]}, "different names"),
        ({"spec": EXTERNAL}, "cannot be compared"),
        ({"repeats": 0}, "greater than or equal to 1"),
        ({"arms": [{"name": "A", "sampler": "tpe"}, {"name": "b", "sampler": "grid"}]}, "pattern"),
    ],
)
def test_a_comparison_needs_arms_that_can_be_told_apart(change, says):
    arms = [{"name": "a", "sampler": "tpe"}, {"name": "b", "sampler": "random"}]
    with pytest.raises(InvalidInput, match=says):
        ComparisonSpec.read({"spec": SHORTEST, "arms": arms} | change)
