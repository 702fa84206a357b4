"""``TrainingArguments`` read as a schedule have the rates that ``get_scheduler`` sets, at every update."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsearch
from lrsearch.errors import InvalidInput
from lrsearch.exports.target import ExportContext
from lrsearch.exports.transformers import NATIVE, native
from lrsearch.imports.transformers import TYPES
from lrsearch.schedules import CLOSED_FORMS

from ..exports.players import FLOAT64, SETS, framework, some, weights
from .test_torch import assert_same, stepped

HORIZON = 60
LR = 0.3
WARMUPS = {"cosine_warmup_with_min_lr": [2, 12, 20], "cosine_with_restarts": [0, 12, 20]}
"""Where not 0, 1, 12, 20: one must have a warm-up, the other whole cycles after it."""
SETTINGS = {
    "cosine_with_restarts": st.sampled_from([1, 2, 4]).map(lambda n: {"num_cycles": n}),
    "cosine_with_min_lr": st.floats(0, 1).map(lambda share: {"min_lr_rate": share})
    | st.floats(0, LR).map(lambda rate: {"min_lr": rate}),
    "cosine_warmup_with_min_lr": st.fixed_dictionaries({"min_lr_rate": st.floats(0, 1)})
    | st.fixed_dictionaries({"min_lr_rate": st.floats(0, 1), "warmup_lr_rate": st.floats(0, 1)}),
    "polynomial": st.fixed_dictionaries({"lr_end": st.floats(0, 0.2), "power": st.floats(0.1, 4) | st.just(1.0)}),
    "inverse_sqrt": st.sampled_from([{}, {"timescale": 9}]),
    "warmup_stable_decay": st.fixed_dictionaries(
        {
            "num_decay_steps": st.integers(1, 40),
            "min_lr_ratio": st.floats(0, 1),
            "decay_type": st.sampled_from(["linear", "cosine", "1-sqrt"]),
            "warmup_type": st.sampled_from(["linear", "cosine"]),
        }
    ),
}


@pytest.fixture(scope="module", autouse=True)
def imported():
    framework("transformers", "transformers.trainer")


def made(name, warmup, told):
    from transformers import get_scheduler

    return get_scheduler(name, torch.optim.SGD(weights(2), lr=LR), warmup, HORIZON, told)


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=SETS)
@given(data=st.data())
def test_it_has_the_rate_of_every_update(name, data):
    told = data.draw(SETTINGS.get(name, st.just({})))
    warmup = data.draw(st.sampled_from(WARMUPS.get(name, [0, 1, 12, 20])))
    arguments = {"learning_rate": LR, "lr_scheduler_type": name, "warmup_steps": warmup, "max_steps": HORIZON}
    schedule = lrsearch.import_schedule("transformers", arguments | {"lr_scheduler_kwargs": told})
    wanted = stepped(made(name, warmup, told), schedule.horizon + 1)
    assert_same(schedule, wanted)
    again = lrsearch.import_schedule("torch", made(name, warmup, told), updates=HORIZON) if told or warmup else None
    if again is not None and name != "cosine_warmup_with_min_lr":
        assert_same(again, wanted)


def test_the_early_cosine_is_read_from_its_scheduler_too():
    told = {"min_lr_rate": 0.1}
    schedule = lrsearch.import_schedule("torch", made("cosine_warmup_with_min_lr", 12, told))
    assert_same(schedule, stepped(made("cosine_warmup_with_min_lr", 12, told), HORIZON))


@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize("family", sorted(NATIVE.keys() & CLOSED_FORMS.keys()))
def test_what_is_exported_in_its_words_comes_back(family, warmup):
    schedule = some(family, epochs=6, warmup=warmup, warmup_start=0.0)
    arguments = native(schedule, ExportContext(5)) | {"max_steps": 30}
    again = lrsearch.import_schedule("transformers", arguments)
    assert again.family == family
    u = np.arange(31)
    assert np.abs(again.lr(u) - schedule.lr(u, 5)).max() <= FLOAT64 * schedule.initial_lr


@pytest.mark.filterwarnings("ignore")  # advice of Transformers on devices
@pytest.mark.parametrize("warmup", [0, 9, 0.15])
def test_training_arguments_themselves_are_read(warmup, tmp_path):
    from transformers import TrainingArguments

    told = TrainingArguments(
        output_dir=str(tmp_path), learning_rate=LR, lr_scheduler_type="polynomial", warmup_steps=warmup,
        lr_scheduler_kwargs={"power": 2.0, "lr_end": 0.0}, report_to=[], use_cpu=True,
    )  # fmt: skip
    schedule = lrsearch.import_schedule("transformers", told, updates=HORIZON, eval_every=10)
    assert schedule.warmup == told.get_warmup_steps(HORIZON)
    assert_same(schedule, stepped(made("polynomial", int(schedule.warmup), {"power": 2.0, "lr_end": 0.0}), HORIZON + 1))


REFUSED = {
    "no horizon": ({"max_steps": -1}, "give `updates`"),
    "waves": ({"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"num_cycles": 2.5}}, "half a cosine"),
    "uneven cycles": (
        {"lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs": {"num_cycles": 7}}, "whole number",
    ),
    "metric": ({"lr_scheduler_type": "reduce_lr_on_plateau"}, "importable are"),
    "unknown argument": ({"lr_scheduler_kwargs": {"power": 2}}, "takes no arguments"),
    "no warm-up": (
        {"lr_scheduler_type": "cosine_warmup_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 0}}, "warmup_steps",
    ),
    "no decay": ({"lr_scheduler_type": "warmup_stable_decay"}, "needs num_decay_steps"),
    "too long a decay": (
        {"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 90}}, "add up",
    ),
    "a root up": (
        {
            "lr_scheduler_type": "warmup_stable_decay", "warmup_steps": 5,
            "lr_scheduler_kwargs": {"num_decay_steps": 9, "warmup_type": "1-sqrt"},
        },
        "warmup_type",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("form", [dict, lambda told: SimpleNamespace(**told)])
def test_what_is_not_exact_is_refused_with_what_to_do(name, form):
    told, message = REFUSED[name]
    with pytest.raises(InvalidInput, match=message):
        lrsearch.import_schedule("transformers", form({"learning_rate": LR, "max_steps": HORIZON} | told))


def test_a_restart_that_transformers_rounds_late_is_refused():
    late = {"learning_rate": LR, "max_steps": 49, "lr_scheduler_type": "cosine_with_restarts"}
    wanted = stepped(made_over(49, 49), 50)
    assert wanted.max() == LR
    with pytest.raises(InvalidInput, match="a step late"):
        lrsearch.import_schedule("transformers", late | {"lr_scheduler_kwargs": {"num_cycles": 49}})


def made_over(cycles, horizon):
    from transformers import get_scheduler

    own = torch.optim.SGD(weights(2), lr=LR)
    return get_scheduler("cosine_with_restarts", own, 0, horizon, {"num_cycles": cycles})
