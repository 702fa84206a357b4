"""What is written for timm sets the schedule's rate at every update, as a Scheduler and as train.py's arguments."""

from __future__ import annotations

import argparse
import shlex

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.exports import TARGETS, export
from lrsearch.exports.target import ExportContext
from lrsearch.exports.timm import NATIVE, native
from lrsearch.schedules import CLOSED_FORMS, WARMUPS, Schedule

from .players import BEYOND, FLOAT64, MAX_UPDATES, SETS, assert_agree, executed, expected, framework, weights

ARGUMENTS = {
    "sched": (str, "cosine"),
    "lr": (float, None),
    "epochs": (int, 300),
    "warmup-epochs": (int, 5),
    "warmup-lr": (float, 1e-5),
    "min-lr": (float, 0.0),
    "decay-rate": (float, 0.1),
    "decay-epochs": (float, 90),
    "cooldown-epochs": (int, 0),
    "lr-cycle-mul": (float, 1.0),
    "lr-cycle-decay": (float, 0.5),
    "lr-cycle-limit": (int, 1),
    "lr-k-decay": (float, 1.0),
    "lr-decay-fn": (str, None),
}
"""Names, types and defaults of timm/train.py (1.0.31)."""


@pytest.fixture(scope="module", autouse=True)
def imported():
    framework("timm.scheduler")


def updated(scheduler, optimizer, n_updates):
    """The rate at every update, where the scheduler is told of each as train.py does."""
    seen = []
    for update in range(n_updates):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step_update(num_updates=update + 1)
    return np.array(seen)


def parsed(arguments):
    parser = argparse.ArgumentParser()
    for name, (kind, default) in ARGUMENTS.items():
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--decay-milestones", type=int, nargs="+", default=[90, 180, 270])
    for flag in ("sched-on-updates", "warmup-prefix"):
        parser.add_argument(f"--{flag}", action="store_true")
    return parser.parse_args(shlex.split(arguments))


def trained(arguments, updates_per_epoch):
    """The rates of a training by ``train.py`` with these arguments."""
    from timm.scheduler.scheduler_factory import create_scheduler_v2, scheduler_kwargs

    told = parsed(arguments)
    optimizer = torch.optim.SGD(weights(2), lr=told.lr)
    scheduler, epochs = create_scheduler_v2(optimizer, **scheduler_kwargs(told), updates_per_epoch=updates_per_epoch)
    return updated(scheduler, optimizer, epochs * updates_per_epoch)[:, 0]


@pytest.mark.parametrize("shape", WARMUPS)
@pytest.mark.parametrize("family", CLOSED_FORMS)
@settings(max_examples=SETS)
@given(data=st.data())
def test_the_scheduler_sets_the_rate_of_every_update(family, shape, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, shape, MAX_UPDATES))
    names = executed(export(schedule, "timm", updates_per_epoch=per_epoch).text)
    rates = expected(schedule, per_epoch)
    optimizer = torch.optim.SGD(weights(2), lr=7.0)
    assert_agree(updated(names["Schedule"](optimizer), optimizer, len(rates))[:, 0], rates, FLOAT64)
    if "ARGUMENTS" in names:
        assert_agree(trained(names["ARGUMENTS"], per_epoch), rates[: -BEYOND - 1], FLOAT64)


@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize("family", sorted(NATIVE.keys() & CLOSED_FORMS.keys()))
@settings(max_examples=SETS)
@given(data=st.data())
def test_train_py_s_arguments_set_the_rate_of_every_update(family, warmup, schedules, data):
    schedule, _ = data.draw(schedules(family, "linear", MAX_UPDATES))
    fields = schedule.model_dump() | {"updates": None, "eval_every": None, "warmup": warmup, "epochs": 9}
    fields |= {name: max(1, round(fields[name])) for name in schedule.lengths() if name in fields and name != "warmup"}
    whole = Schedule.model_validate(fields | {"final_factor": 0 if family == "step" else fields["final_factor"]})
    names = executed(export(whole, "timm", updates_per_epoch=7).text)
    assert_agree(trained(names["ARGUMENTS"], 7), expected(whole, 7)[: -BEYOND - 1], FLOAT64)


@pytest.mark.parametrize(
    "beyond",
    [
        {"warmup_shape": "cosine", "warmup": 1},
        {"warmup": 0.5},
        {"epochs": None, "updates": 40, "eval_every": 10},
        {"family": "step", "decay_rate": 0.5, "step_size": 1.5},
        {"family": "step", "decay_rate": 0.5, "step_size": 1, "final_factor": 0.1},
    ],
)
def test_what_train_py_cannot_say_gets_no_arguments(beyond):
    told = {"family": "cosine", "initial_lr": 0.1, "epochs": 10}
    schedule = Schedule.model_validate(told | beyond)
    assert native(schedule, ExportContext(7)) is None
    assert "ARGUMENTS" not in export(schedule, "timm", updates_per_epoch=7).text


def test_a_group_s_lr_scale_is_kept():
    schedule = Schedule.model_validate({"family": "cosine", "initial_lr": 0.1, "epochs": 10})
    names = executed(TARGETS["timm"].write(schedule, ExportContext(4)))
    first, second = weights(2, 3)
    optimizer = torch.optim.SGD([{"params": [first]}, {"params": [second], "lr_scale": 0.5}], lr=1.0)
    assert_agree(
        updated(names["Schedule"](optimizer), optimizer, 46), expected(schedule, 4)[:, None] * [1, 0.5], FLOAT64
    )
