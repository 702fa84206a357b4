"""What is written for PyTorch, and what ``to_torch`` makes, set the schedule's rate at every update."""

from __future__ import annotations

import importlib
import io
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.exports import export
from lrsearch.exports.torch_source import OPTIMIZER_CLASSES
from lrsearch.schedules import CLOSED_FORMS, WARMUPS, Schedule
from lrsearch.study import OPTIMIZERS

from .players import FLOAT64, executed, expected, rates_in_force, some, weights

STEP = Schedule.model_validate(
    {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 3, "warmup": 1, "epochs": 10}
)


@pytest.mark.parametrize("shape", WARMUPS)
@pytest.mark.parametrize("family", CLOSED_FORMS)
@settings(max_examples=8)
@given(data=st.data())
def test_the_emitted_text_sets_the_schedules_rate_at_every_update(family, shape, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, shape))
    names = executed(export(schedule, "torch", updates_per_epoch=per_epoch).text)
    rates = expected(schedule, per_epoch)
    tolerance = FLOAT64 * schedule.initial_lr
    assert np.abs([names["lr"](update) for update in range(len(rates))] - rates).max() <= tolerance
    in_force = rates_in_force(names["optimizer"], names["scheduler"], len(rates))
    assert np.abs(in_force[:, 0] - rates).max() <= tolerance


@pytest.mark.parametrize("shape", WARMUPS)
@pytest.mark.parametrize("family", CLOSED_FORMS)
@settings(max_examples=8)
@given(data=st.data())
def test_to_torch_sets_the_schedules_rate_times_each_groups_multiplier(family, shape, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, shape))
    multipliers = data.draw(st.none() | st.lists(st.floats(0, 10), min_size=2, max_size=2))
    first, second = weights(2, 3)
    own = [{}, {}] if multipliers is None else [{"lr": 5.0}, {"lr": 0.3}]
    groups = [{"params": [first], **own[0]}, {"params": [second], **own[1]}]
    optimizer = torch.optim.SGD(groups, lr=7.0)
    scheduler = schedule.to_torch(optimizer, updates_per_epoch=per_epoch, multipliers=multipliers)
    rates = expected(schedule, per_epoch)
    in_force = rates_in_force(optimizer, scheduler, len(rates))
    wanted = rates[:, None] * np.array(multipliers or [1.0, 1.0])
    assert np.abs(in_force - wanted).max() <= FLOAT64 * schedule.initial_lr
    if multipliers is None:
        assert (in_force == wanted).all()


def test_the_text_runs_where_lrsearch_cannot_be_imported():
    cases = [some(family, epochs=6, warmup=1.5, warmup_shape=shape) for family in CLOSED_FORMS for shape in WARMUPS]
    script = (
        "import json, sys\n"
        "sys.modules['lrsearch'] = None\n"
        "answers = []\n"
        "for text in json.load(sys.stdin):\n"
        "    names = {'__name__': 'pasted'}\n"
        "    exec(text, names)\n"
        "    rates = []\n"
        "    for _ in range(6 * 7 + 6):\n"
        "        rates.append(names['optimizer'].param_groups[0]['lr'])\n"
        "        names['update'](names['model'](names['torch'].ones(2)).sum())\n"
        "    answers.append(rates)\n"
        "print(json.dumps(answers))\n"
    )
    texts = json.dumps([export(schedule, "torch", updates_per_epoch=7).text for schedule in cases])
    run = subprocess.run([sys.executable, "-c", script], input=texts, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    for schedule, rates in zip(cases, json.loads(run.stdout), strict=True):
        assert np.abs(rates - expected(schedule, 7)).max() <= FLOAT64 * schedule.initial_lr


def test_the_text_says_where_it_is_from_and_what_it_assumes():
    recipe = {"task": "mnist-cnn", "batch_size": 64, "clip_norm": 2.5, "options": {}}
    text = export(STEP, "torch", updates_per_epoch=938, study="mnist-step", trial=12, recipe=recipe).text
    head = text[: text.index("\nimport")]
    for said in ("study mnist-step", "trial 12", "10 epochs of 938", "9380 updates", "mnist-cnn", "64", "ignored",
                 "MULTIPLIERS", "updates_per_epoch=1"):  # fmt: skip
        assert said in head
    assert all(line.startswith("#") for line in head.splitlines())
    assert "clip_grad_norm_(model.parameters(), 2.5)" in text
    assert "clip_grad_norm_" not in export(STEP, "torch", updates_per_epoch=938).text


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_text_builds_the_recipes_optimizer_with_its_settings(name):
    settings = {"name": name, "weight_decay": 0.25}
    spec = OPTIMIZERS[name].model_validate(settings).model_dump(mode="json")
    names = executed(export(STEP, "torch", updates_per_epoch=3, recipe={"optimizer": spec}).text)
    made = names["optimizer"]
    package, _, kind = OPTIMIZER_CLASSES[name].rpartition(".")
    assert type(made) is getattr(importlib.import_module(package), kind)
    for key, value in spec.items():
        if key != "name":  # what holds for all groups, ranger keeps as an attribute
            kept = made.defaults[key] if key in made.defaults else getattr(made, key)
            assert kept == (tuple(value) if isinstance(value, list) else value)
    for parameter in names["model"].parameters():
        parameter.grad = torch.ones_like(parameter)
    in_force = rates_in_force(made, names["scheduler"], 35)
    assert np.abs(in_force[:, 0] - expected(STEP, 3)[:35]).max() <= FLOAT64 * STEP.initial_lr


def test_the_texts_scheduler_takes_multipliers_and_refuses_groups_that_differ_without_them():
    names = executed(export(STEP, "torch", updates_per_epoch=4).text)
    first, second = weights(2, 3)
    optimizer = torch.optim.SGD([{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.2}])
    with pytest.raises(ValueError, match="MULTIPLIERS"):
        names["make_scheduler"](optimizer)
    names["MULTIPLIERS"] = [1.0, 0.1]
    in_force = rates_in_force(optimizer, names["make_scheduler"](optimizer), 45)
    assert np.abs(in_force - expected(STEP, 4)[:45, None] * [1.0, 0.1]).max() <= FLOAT64 * STEP.initial_lr


@pytest.mark.parametrize("made_by", ["method", "text"])
@pytest.mark.parametrize("done", [1, 4, 17, 39, 43])
def test_start_update_continues_exactly(made_by, done):
    optimizer = torch.optim.SGD(weights(2), lr=1.0)
    if made_by == "method":
        scheduler = STEP.to_torch(optimizer, updates_per_epoch=4, start_update=done)
    else:
        names = executed(export(STEP, "torch", updates_per_epoch=4).text)
        scheduler = names["make_scheduler"](optimizer, start_update=done)
    rates = STEP.lr(np.arange(done, done + 30), 4)
    assert np.abs(rates_in_force(optimizer, scheduler, 30)[:, 0] - rates).max() <= FLOAT64 * STEP.initial_lr


@pytest.mark.parametrize("done", [0, 1, 17])
def test_a_saved_state_resumes_where_it_was(done):
    def fresh():
        optimizer = torch.optim.Adam(weights(2), lr=1.0)
        return optimizer, STEP.to_torch(optimizer, updates_per_epoch=4)

    optimizer, scheduler = fresh()
    rates_in_force(optimizer, scheduler, done)
    file = io.BytesIO()
    torch.save({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    optimizer, scheduler = fresh()
    optimizer.load_state_dict(saved["optimizer"])
    scheduler.load_state_dict(saved["scheduler"])
    rates = STEP.lr(np.arange(done, done + 30), 4)
    assert (rates_in_force(optimizer, scheduler, 30)[:, 0] == rates).all()


def test_the_scheduler_pickles():
    scheduler = STEP.to_torch(torch.optim.SGD(weights(2), lr=1.0), updates_per_epoch=4)
    assert pickle.loads(pickle.dumps(scheduler.lr_lambdas))[0](17) == STEP.lr(17, 4)


def test_accumulated_gradients_move_the_schedule_once_an_update():
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = STEP.to_torch(optimizer, updates_per_epoch=4)
    seen = []
    optimizer.register_step_pre_hook(lambda optimizer, *_: seen.append(optimizer.param_groups[0]["lr"]))
    for batch in range(60):
        model(torch.ones(2)).sum().backward()
        if batch % 3 == 2:
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    assert (seen == STEP.lr(np.arange(20), 4)).all()


def test_stepping_once_an_epoch_takes_updates_per_epoch_1():
    optimizer = torch.optim.SGD(weights(2), lr=1.0)
    scheduler = STEP.to_torch(optimizer, updates_per_epoch=1)
    assert rates_in_force(optimizer, scheduler, 8)[:, 0] == pytest.approx([0.001] + [0.1] * 3 + [0.05] * 3 + [0.025])


@pytest.mark.parametrize("multipliers", [None, [1.0, 0.5]])
def test_a_tensor_rate_is_set_in_place_and_not_shared(multipliers):
    first, second = weights(2, 3)
    optimizer = torch.optim.Adam([{"params": [first]}, {"params": [second]}], lr=torch.tensor(7.0), foreach=False)
    scheduler = STEP.to_torch(optimizer, updates_per_epoch=4, multipliers=multipliers)
    tensors = [group["lr"] for group in optimizer.param_groups]
    in_force = rates_in_force(optimizer, scheduler, 45)
    assert np.abs(in_force - expected(STEP, 4)[:45, None] * (multipliers or [1.0, 1.0])).max() <= 5e-7 * STEP.initial_lr
    assert all(group["lr"] is tensor for group, tensor in zip(optimizer.param_groups, tensors, strict=True))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, "multipliers"),
        ({"multipliers": [1.0]}, "multipliers"),
        ({"multipliers": [1.0, -1.0]}, "multipliers"),
        ({"multipliers": [1.0, float("nan")]}, "multipliers"),
        ({"multipliers": [1.0, 0.1], "start_update": -1}, "start_update"),
        ({"multipliers": [1.0, 0.1], "start_update": 1.5}, "start_update"),
        ({"multipliers": [1.0, 0.1], "updates_per_epoch": None}, "updates_per_epoch"),
        ({"multipliers": [1.0, 0.1], "updates_per_epoch": 0}, "updates_per_epoch"),
    ],
)
def test_to_torch_refuses_what_it_cannot_do_exactly(wrong, field):
    first, second = weights(2, 3)
    optimizer = torch.optim.SGD([{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.2}])
    with pytest.raises(InvalidInput) as error:
        STEP.to_torch(optimizer, **{"updates_per_epoch": 4} | wrong)
    assert [fault.field for fault in error.value.faults] == [field]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2]
