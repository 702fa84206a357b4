"""The arguments of timm's ``train.py`` read as a schedule have the rates that timm sets, at every update."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsearch
from lrsearch.errors import InvalidInput
from lrsearch.exports import export
from lrsearch.exports.timm import NATIVE
from lrsearch.imports.timm import DEFAULTS, READERS
from lrsearch.schedules import CLOSED_FORMS

from ..exports.players import FLOAT64, SETS, executed, framework, some, weights
from .test_torch import assert_same

PER_EPOCH = 7
prefixed = st.fixed_dictionaries({"warmup_epochs": st.integers(0, 4), "warmup_prefix": st.just(True)})
within = st.fixed_dictionaries({"warmup_epochs": st.integers(0, 4), "warmup_prefix": st.booleans()})
ends = {"min_lr": st.floats(0, 0.1), "epochs": st.integers(6, 12)}
MADE = {
    "constant": within,
    "step": st.tuples(
        within, st.fixed_dictionaries({"decay_epochs": st.integers(5, 9), "decay_rate": st.floats(0.1, 1)})
    ),
    "multistep": st.tuples(
        within,
        st.fixed_dictionaries(
            {"decay_milestones": st.sampled_from([[6, 8], [5], [7, 90]]), "decay_rate": st.floats(0.1, 1)}
        ),
    ),
    "cosine": st.tuples(prefixed, st.fixed_dictionaries(ends)),
    "cosine, cycles": st.tuples(
        prefixed,
        st.fixed_dictionaries({"lr_cycle_limit": st.integers(2, 4), "lr_cycle_decay": st.floats(0.1, 1)}),
    ),
    "poly": st.tuples(prefixed, st.fixed_dictionaries(ends | {"decay_rate": st.floats(0.1, 3) | st.just(1.0)})),
    "wsd": st.tuples(
        within,
        st.fixed_dictionaries(
            ends
            | {
                "decay_epochs": st.sampled_from([1, 2, 0.5]),
                "epochs": st.sampled_from([8, 12]),
                "warmup_epochs": st.sampled_from([0, 2, 4]),
                "lr_decay_fn": st.sampled_from([None, "linear", "cosine", "1-sqrt"]),
            }
        ),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def imported():
    framework("timm.scheduler")


def trained(told, per_epoch):
    """The rates of a training by ``train.py`` with these arguments."""
    from timm.scheduler.scheduler_factory import create_scheduler_v2, scheduler_kwargs

    own = torch.optim.SGD(weights(2), lr=told["lr"])
    config = scheduler_kwargs(argparse.Namespace(**told))
    scheduler, epochs = create_scheduler_v2(own, **config, updates_per_epoch=per_epoch)
    found = []
    for epoch in range(epochs):
        for update in range(epoch * per_epoch, (epoch + 1) * per_epoch):
            found.append(own.param_groups[0]["lr"])
            own.step()
            scheduler.step_update(num_updates=update + 1)
        scheduler.step(epoch + 1)
    return np.array(found)


def arguments(data, name):
    drawn = data.draw(MADE[name])
    told = {**DEFAULTS, "lr": 0.3, "warmup_lr": 0.01, "epochs": 10, "sched": name.partition(",")[0]}
    for part in drawn if isinstance(drawn, tuple) else (drawn,):
        told |= part
    return told


def test_every_reader_is_tried():
    assert READERS.keys() == {name.partition(",")[0] for name in MADE}


@pytest.mark.parametrize("name", MADE)
@settings(max_examples=2 * SETS)
@given(data=st.data(), form=st.sampled_from([dict, lambda told: argparse.Namespace(**told)]))
def test_it_has_the_rate_of_every_update(name, data, form):
    told = arguments(data, name) | {"sched_on_updates": True}
    schedule = lrsearch.import_schedule("timm", form(told), updates_per_epoch=PER_EPOCH)
    assert_same(schedule, trained(told, PER_EPOCH), PER_EPOCH)
    assert schedule.clock(PER_EPOCH).horizon == len(trained(told, PER_EPOCH))


@pytest.mark.parametrize("name", ["constant", "step", "multistep"])
@settings(max_examples=SETS)
@given(data=st.data())
def test_stepped_once_an_epoch_it_has_the_rate_of_every_update(name, data):
    told = arguments(data, name) | {"warmup_epochs": 0}
    assert_same(lrsearch.import_schedule("timm", told), trained(told, PER_EPOCH), PER_EPOCH)


@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize("family", sorted(NATIVE.keys() & CLOSED_FORMS.keys()))
def test_what_is_exported_in_its_words_comes_back(family, warmup):
    schedule = some(family, epochs=9, warmup=warmup)
    line = executed(export(schedule, "timm", updates_per_epoch=PER_EPOCH).text)["ARGUMENTS"]
    again = lrsearch.import_schedule("timm", f"--model resnet18 {line}")
    assert again.family == family
    assert again.epochs == 9
    u = np.arange(9 * PER_EPOCH + 1)
    assert np.abs(again.lr(u, PER_EPOCH) - schedule.lr(u, PER_EPOCH)).max() <= FLOAT64 * schedule.initial_lr


REFUSED = {
    "no rate": ({"lr": None}, "give `lr`"),
    "a jump": ({}, "warmup_prefix"),
    "once an epoch": ({"warmup_epochs": 0, "sched_on_updates": False}, "stepped once an epoch"),
    "a bent clock": ({"warmup_epochs": 0, "lr_k_decay": 1.5}, "lr_k_decay"),
    "noise": ({"lr_noise": [0.4, 0.9]}, "lr_noise"),
    "cooldown": ({"warmup_epochs": 0, "cooldown_epochs": 5}, "cooldown_epochs"),
    "growing cycles": ({"warmup_epochs": 0, "lr_cycle_limit": 3, "lr_cycle_mul": 2.0}, "cycle_growth"),
    "tanh": ({"sched": "tanh"}, "importable are"),
    "one update early": ({"sched": "multistep"}, "updates_per_epoch"),
    "a step in the warm-up": ({"sched": "step", "decay_epochs": 4}, "before the warm-up of 5 steps has ended"),
    "half an epoch": ({"sched": "step", "decay_epochs": 1.5, "warmup_epochs": 0}, "whole"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exact_is_refused_with_what_to_do(name):
    told, message = REFUSED[name]
    with pytest.raises(InvalidInput, match=message):
        lrsearch.import_schedule("timm", {"lr": 0.1, "sched_on_updates": True} | told)


def test_a_line_that_is_not_one_is_refused():
    with pytest.raises(InvalidInput, match=r"train\.py"):
        lrsearch.import_schedule("timm", "--sched cosine --epochs many")


def test_the_length_is_timm_s_own():
    with pytest.raises(InvalidInput, match="leave it out"):
        lrsearch.import_schedule("timm", {"lr": 0.1}, updates=100)
