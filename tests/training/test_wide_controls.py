"""The one law for controls beyond the rate: momentum, depth groups, the optimiser in force, and what was measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lrsearch.errors import InvalidInput
from lrsearch.schedules import OWN, Schedule
from lrsearch.study import OPTIMIZERS, Result, TrainSpec
from lrsearch.tasks.initial import initial_model
from lrsearch.tasks.task import Task
from lrsearch.training import group
from lrsearch.training.batches import Order
from lrsearch.training.calibration import Choice
from lrsearch.training.fused_program import FusedProgram
from lrsearch.training.prefixes import PrefixStore
from lrsearch.training.torch_program import TorchProgram
from lrsearch.training.wide import depths
from lrsearch.training.workload import Workload
from lrsearch.trajectory import Plan, first_key

from .zoo import N_TRAIN, drawn

BATCH = 50
PER_EPOCH = 3
EPOCHS = 9
PROGRAMS = {"lone": TorchProgram, "fused": FusedProgram}
ADAM = {"name": "adam", "weight_decay": 0.01}
SGD = {"name": "sgd", "momentum": 0.9, "weight_decay": 0.01}
COSINE = {"family": "cosine", "initial_lr": 0.02, "warmup": 2, "warmup_shape": "cosine", "epochs": EPOCHS}
STEP = {"family": "step", "initial_lr": 0.02, "decay_rate": 0.5, "step_size": 4, "epochs": EPOCHS}
PLATEAU = {"family": "plateau", "initial_lr": 0.05, "decay_rate": 0.3, "threshold": 0.05, "epochs": EPOCHS}


class Small(Task):
    """Three layers on 6 x 8 numbers."""

    name = "small"
    train_examples = N_TRAIN
    has_test = False

    def model(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 9), nn.Tanh(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 4))

    def data(self):
        return drawn(6, 8)


STUDIES = {
    "plateau": (SGD, [{**PLATEAU, "patience": patience} for patience in (0, 1, 2)] + [{**STEP, "initial_lr": 0.05}]),
    "adaptive warm-up": (
        SGD,
        [
            {"family": "adaptive_warmup", "initial_lr": 0.05, "warmup": 3, "adapt": adapt, "epochs": EPOCHS}
            for adapt in (1.5, 2, 4)
        ],
    ),
    "layer decay": (
        ADAM,
        [
            {**STEP, **extra}
            for extra in ({}, {"layer_decay": 0.5}, {"freeze": 3}, {"freeze": 5}, {"freeze": 3, "layer_decay": 0.5})
        ],
    ),
    "momentum": (
        SGD,
        [
            COSINE,
            {**COSINE, "momentum_at_peak": 0.85, "momentum_at_low": 0.95},
            {**COSINE, "momentum_at_peak": 0.8},
            {**COSINE, "momentum_at_peak": 0.8, "freeze": 4},
            {**STEP, "momentum_at_low": 0.95, "momentum_at_peak": 0.85, "step_size": 3},
            {**STEP, "momentum_at_low": 0.95, "momentum_at_peak": 0.85},
        ],
    ),
    "switch": (
        ADAM,
        [
            STEP,
            {**STEP, "switch_to": "sgd", "switch_at": 3, "switch_factor": 10, "switch_momentum": 0.9},
            {**STEP, "switch_to": "sgd", "switch_at": 5, "switch_factor": 10},
            {**STEP, "switch_to": "adamw", "switch_at": 3},
            {**STEP, "switch_to": "ranger", "switch_at": 5, "layer_decay": 0.5},
            {**STEP, "switch_to": "sgd", "switch_at": EPOCHS},
        ],
    ),
}
HEAD = {"family": "cosine", "initial_lr": 0.05, "warmup": 1}
BIASES = {"family": "constant", "initial_lr": 0.02}
STUDIES["groups"] = (
    ADAM,
    [
        {**STEP, **extra}
        for extra in (
            {},
            {"groups": {"biases": BIASES, "head": HEAD}},
            {"groups": {"biases": BIASES, "head": {**HEAD, "initial_lr": 0.1}}, "freeze": 3},
            {"groups": {"biases": {**BIASES, "initial_lr": 0.01}, "head": {**HEAD, "warmup": 4}}, "layer_decay": 0.5},
            {"groups": {"biases": BIASES, "head": BIASES}, "switch_to": "sgd", "switch_at": 5, "switch_factor": 3},
            {"layer_decay": 0.5},
        )
    ],
)
RECIPES = {"groups": {"groups": {"head": ["5"], "biases": ["1.bias", "3.bias"]}}}
every_program = pytest.mark.parametrize("kind", PROGRAMS)


def fast_for(**kinds):
    """All studies with all programs; fast are the studies named (by their first word), with the program given."""
    return pytest.mark.parametrize(
        ("study", "kind"),
        [
            pytest.param(study, kind, marks=[] if kinds.get(study.split()[0]) == kind else pytest.mark.slow)
            for study in STUDIES
            for kind in PROGRAMS
        ],
    )


def values(points):
    return [(p.epoch, p.seed, p.lr_first, p.lr_last, p.metrics) for p in points]


@pytest.fixture
def trained_by(monkeypatch):
    """``trained_by(kind)``: recipes are trained by that program from now on, at most eight lanes each."""

    def chosen(kind):
        monkeypatch.setattr(group, "calibrated", lambda *given: Choice(PROGRAMS[kind], 8))

    return chosen


@pytest.fixture
def trials(assign):
    """``trials(study)``: its assignments."""

    def build(study, **fields):
        optimizer, schedules = STUDIES[study]
        train = {"optimizer": optimizer, "batch_size": BATCH, "precision": fields.pop("precision", "float32")}
        train |= RECIPES.get(study, {})
        return [assign("small", schedule, trial=n, train=train, **fields) for n, schedule in enumerate(schedules)]

    return build


@pytest.fixture
def small(bench):
    """``small(prefixes, lanes)``: a bench that knows the task."""
    return lambda prefixes=None, lanes=None: bench(prefixes, {"small": Small}, lanes)


def key_set(assignments, told):
    """Every key of trials as they were trained."""
    keys = set()
    for assignment in assignments:
        history = [point.metrics for point in told[assignment.key][1]]
        keys |= set(Plan(assignment.schedule, PER_EPOCH).keys(first_key({}, 0), history=history)[1:])
    return keys


@fast_for(plateau="lone", momentum="fused", switch="lone", groups="fused")
def test_sharing_changes_no_bit_and_trains_what_is_distinct(small, trials, trained_by, study, kind):
    trained_by(kind)
    assignments = trials(study)
    alone = {assignment.key: small().train(assignment) for assignment in assignments}
    for lanes in (2, None):
        told = small(lanes=lanes).train_all(assignments)
        for key, (result, points) in told.items():
            assert result.state == "completed"
            assert values(points) == values(alone[key][1])
        n_trained = sum(not point.shared for _, points in told.values() for point in points)
        assert n_trained == len(key_set(assignments, told)) < EPOCHS * len(assignments)


@fast_for(adaptive="lone", layer="lone", switch="fused", groups="lone")
@pytest.mark.parametrize("n_steps", [11, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("closed", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_killed_and_resumed_is_uninterrupted(small, trials, trained_by, study, kind, n_steps, closed):
    trained_by(kind)
    whole = small().train_all(trials(study))
    prefixes = PrefixStore()
    killed = small(prefixes).trainer
    for assignment in trials(study):
        killed.add(assignment)
    for _ in range(n_steps):
        killed.step()
    if closed:
        killed.close()
    resumed = small(prefixes).train_all(trials(study, attempt=2))
    for (name, trial, _), (result, points) in resumed.items():
        assert (result, values(points)) == (whole[name, trial, 1][0], values(whole[name, trial, 1][1]))
    n_trained = sum(not point.shared for _, points in resumed.values() for point in points)
    assert not closed or n_trained < EPOCHS * len(resumed) - n_steps


@fast_for(plateau="fused", layer="fused")
def test_who_joins_at_epoch_7_has_the_values_it_has_alone(small, trials, trained_by, study, kind):
    trained_by(kind)
    first, *late = trials(study)
    alone = {assignment.key: small().train(assignment) for assignment in (first, *late)}
    trainer = small().trainer
    trainer.add(first)
    told = {key: [] for key in alone}
    while len(told[first.key]) < 7:
        for key, item in trainer.step():
            told[key].append(item)
    for assignment in late:
        trainer.add(assignment)
    while trainer.busy:
        for key, item in trainer.step():
            told[key].append(item)
    for key, items in told.items():
        assert isinstance(items[-1], Result)
        assert values(items[:-1]) == values(alone[key][1])


def hand_written(schedule, optimizer):
    """The training of ``Small`` in float64, written out with torch's own optimisers; the losses of every epoch."""
    workload = Workload(Small, {})
    model = initial_model(workload.task, 0).double()
    layers = [module for module in model if isinstance(module, nn.Linear)]
    x, y = (torch.tensor(side) for side in workload.data.train)
    x_val, y_val = (torch.tensor(side) for side in workload.data.val)
    order = Order(N_TRAIN, BATCH, 0)
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}

    parts = [[(depth, kind)] for depth in range(3) for kind in ("weight", "bias")]
    own = dict(schedule.groups)

    def made(name, **settings):
        return kinds[name]([{"params": [getattr(layers[d], k) for d, k in part]} for part in parts], lr=0.0, **settings)

    def rate(depth, kind, update):
        group = "head" if depth == 2 else "biases" if kind == "bias" else None
        if group in own:
            return own[group].lr(update, PER_EPOCH)
        frozen = update < schedule.freeze * PER_EPOCH and depth < 2
        return 0.0 if frozen else table[update] * schedule.layer_decay ** (2 - depth)

    now = made(**optimizer)
    table, momentum = schedule.lr_table(PER_EPOCH), schedule.momentum(np.arange(PER_EPOCH * EPOCHS), PER_EPOCH)
    losses = []
    for update, index in enumerate(order.batches(0, PER_EPOCH * EPOCHS, torch.device("cpu"))):
        if schedule.switch_to is not None and update == schedule.switch_at * PER_EPOCH:
            extra = {"momentum": schedule.switch_momentum} if schedule.switch_to == "sgd" else {}
            now = made(schedule.switch_to, weight_decay=optimizer["weight_decay"], **extra)
        for [(depth, kind)], settings in zip(parts, now.param_groups, strict=True):
            settings["lr"] = rate(depth, kind, update)
            if momentum is not None and "betas" in settings:
                settings["betas"] = (momentum[update], 0.999)
            elif momentum is not None:
                settings["momentum"] = momentum[update]
        now.zero_grad()
        nn.functional.cross_entropy(model(x[index].double()), y[index]).backward()
        now.step()
        if update % PER_EPOCH == PER_EPOCH - 1:
            with torch.no_grad():
                losses.append(float(nn.functional.cross_entropy(model(x_val.double()), y_val)))
    return losses


BY_HAND = {
    "layer decay": (ADAM, {**COSINE, "layer_decay": 0.5}),
    "freeze": (SGD, {**STEP, "freeze": 3, "layer_decay": 0.3}),
    "momentum of sgd": (SGD, {**COSINE, "momentum_at_peak": 0.8, "momentum_at_low": 0.95}),
    "beta 1 of adam": (ADAM, {**COSINE, "momentum_at_peak": 0.8, "momentum_at_low": 0.95}),
    "beta 1 of adamw, layer decay": (
        {**ADAM, "name": "adamw"},
        {**COSINE, "momentum_at_peak": 0.8, "momentum_at_low": 0.95, "layer_decay": 0.6},
    ),
    "adam to sgd": (ADAM, {**STEP, "switch_to": "sgd", "switch_at": 5, "switch_factor": 5, "switch_momentum": 0.9}),
    "groups": (ADAM, {**COSINE, "groups": {"head": HEAD, "biases": BIASES}}),
    "groups, freeze": (
        SGD,
        {**COSINE, "freeze": 3, "layer_decay": 0.3, "groups": {"head": HEAD, "biases": BIASES}},
    ),
    "groups, switch": (
        ADAM,
        {**STEP, "switch_to": "sgd", "switch_at": 4, "switch_factor": 5, "groups": {"head": HEAD, "biases": BIASES}},
    ),
    "sgd to adamw": (SGD, {**STEP, "switch_to": "adamw", "switch_at": 4, "layer_decay": 0.5}),
}


@every_program
@pytest.mark.parametrize("case", BY_HAND)
def test_both_programs_are_a_loop_written_by_hand(small, assign, trained_by, kind, case):
    trained_by(kind)
    optimizer, schedule = BY_HAND[case]
    train = {"optimizer": optimizer, "batch_size": BATCH, "precision": "float64"}
    train |= RECIPES["groups"] if "groups" in schedule else {}
    _, points = small().train(assign("small", schedule, train=train))
    expected = hand_written(Schedule.model_validate(schedule), optimizer)
    np.testing.assert_allclose([point.metrics["val_loss"] for point in points], expected, rtol=1e-10)


ROWS = {
    "momentum": [[3e-3, 0.8], [2e-3, 0.95]],
    "groups": [[3e-3, OWN, 0, 0.5], [2e-3, OWN, 0, 0.8]],
    "all": [[3e-3, 0.85, 0, 0.5, 1], [2e-3, 0.9, 0, 1, 0]],
    "named": [[3e-3, 0.85, 0, 0.5, 1, 2e-2, 1e-3], [2e-3, 0.9, 0, 1, 0, OWN, 4e-3]],
}
MOVING = {"sgd": {"momentum": 0.9, "nesterov": True}, "rmsprop": {"momentum": 0.9}, "adam": {"amsgrad": True}}


WIDEST = {name: "groups" if name == "adagrad" else "named" for name in OPTIMIZERS}


@pytest.mark.parametrize(
    ("name", "rows", "kind"),
    [
        pytest.param(name, rows, kind, marks=[] if rows == WIDEST[name] and kind == "fused" else pytest.mark.slow)
        for name in OPTIMIZERS
        for rows in ROWS
        for kind in PROGRAMS
        if name != "adagrad" or rows == "groups"
    ],
)
def test_company_changes_no_bit(same, name, rows, kind):
    optimizer = {"name": name, **MOVING.get(name, {}), "weight_decay": 0.01}
    workload, train = (
        Workload(Small, {}),
        TrainSpec.read({"optimizer": optimizer, "batch_size": BATCH, **RECIPES["groups"]}),
    )

    def fresh():
        return PROGRAMS[kind](workload, train, 0, "cpu")

    own = np.repeat(np.array(ROWS[rows])[:, None], PER_EPOCH, axis=1)
    lone = fresh()
    records = [lone.run_epoch(epoch, controls[None])[0] for epoch, controls in enumerate(own, start=1)]
    for n_lanes, place in ((2, 1), (5, 4), (33, 7)):
        crowd = fresh()
        crowd.fork([0] * n_lanes)
        for epoch, controls in enumerate(own, start=1):
            others = np.tile(controls, (n_lanes, 1, 1))
            others[:, :, 0] *= np.linspace(0.5, 2, n_lanes)[:, None]
            if rows != "groups":
                others[:, :, 1] = np.linspace(0.5, 0.9, n_lanes)[:, None]
            others[place] = controls
            assert same(crowd.run_epoch(epoch, others)[place], records[epoch - 1])
        assert same(crowd.save(place), lone.save(0))


def test_momentum_moves_only_where_there_is_one(small, assign, trained_by, caplog):
    trained_by("fused")
    schedule = {**COSINE, "momentum_at_peak": 0.8, "momentum_at_low": 0.9}
    result, _ = small().train(assign("small", schedule, train={"optimizer": "sgd", "batch_size": BATCH}))
    assert result.state == "failed"
    assert "only where the recipe gives it one" in result.error


def test_a_task_names_its_own_depth_groups():
    class Named(Small):
        name = "named"

        def depth_groups(self, model):
            return [["1.weight", "1.bias", "3.weight", "3.bias"], ["5.weight", "5.bias"]]

    class Wrong(Small):
        name = "wrong"

        def depth_groups(self, model):
            return [["1.weight"], ["nobody"]]

    task = Named({})
    assert list(depths(task, task.model()).values()) == [0, 0, 0, 0, 1, 1]
    task = Small({})
    assert list(depths(task, task.model()).values()) == [0, 0, 1, 1, 2, 2]
    with pytest.raises(InvalidInput, match=r"names every parameter.*nobody"):
        depths(Wrong({}), Wrong({}).model())
