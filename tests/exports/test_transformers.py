"""What is written for Transformers sets the schedule's rate at every update, in its Trainer too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st

from lrsearch.exports import export
from lrsearch.exports.target import ExportContext
from lrsearch.exports.transformers import NATIVE, native
from lrsearch.schedules import CLOSED_FORMS, WARMUPS, Schedule

from .players import (
    BEYOND,
    FLOAT64,
    MAX_UPDATES,
    SETS,
    assert_agree,
    executed,
    expected,
    framework,
    rates_in_force,
    some,
    weights,
)


@pytest.fixture(scope="module", autouse=True)
def imported():
    framework("transformers", "transformers.trainer")


def rates_of(names, n_updates):
    """The rates that a Trainer sets with what the text defines."""
    if "optimizers" in names:
        optimizer, scheduler = names["optimizers"](torch.nn.Linear(2, 1))
        return rates_in_force(optimizer, scheduler, n_updates)[:, 0]
    from transformers import get_scheduler

    told = names["ARGUMENTS"]
    optimizer = torch.optim.SGD(weights(2), lr=told["learning_rate"])
    scheduler = get_scheduler(
        told["lr_scheduler_type"],
        optimizer,
        num_warmup_steps=told["warmup_steps"],
        num_training_steps=told["max_steps"],
        scheduler_specific_kwargs=told.get("lr_scheduler_kwargs"),
    )
    return rates_in_force(optimizer, scheduler, n_updates)[:, 0]


def assert_trains(schedule, per_epoch):
    names = executed(export(schedule, "transformers", updates_per_epoch=per_epoch).text)
    rates = expected(schedule, per_epoch)
    horizon = schedule.clock(per_epoch).horizon
    assert names["ARGUMENTS"]["max_steps"] == horizon
    if "optimizers" not in names:  # the Trainer ends at max_steps
        rates = rates[: -BEYOND - 1]
    assert_agree(rates_of(names, len(rates)), rates, FLOAT64)


@pytest.mark.parametrize("shape", WARMUPS)
@pytest.mark.parametrize("family", CLOSED_FORMS)
@settings(max_examples=SETS)
@given(data=st.data())
def test_the_text_sets_the_rate_of_every_update(family, shape, schedules, data):
    assert_trains(*data.draw(schedules(family, shape, MAX_UPDATES)))


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("family", sorted(NATIVE.keys() & CLOSED_FORMS.keys()))
@settings(max_examples=SETS)
@given(data=st.data())
def test_native_arguments_set_the_rate_of_every_update(family, warm, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, data.draw(st.sampled_from(NATIVE[family].warmups)), MAX_UPDATES))
    schedule = schedule.model_copy(update={"final_factor": 0.0} if family == "inverse_sqrt" else {})
    start = {"warmup_start": NATIVE[family].warms_from(schedule)}
    schedule = schedule.model_copy(update=start if warm else {"warmup": 0.0})
    event(f"native {native(schedule, ExportContext(per_epoch)) is not None}")
    assert_trains(schedule, per_epoch)


@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize("family", sorted(NATIVE.keys() & CLOSED_FORMS.keys()))
def test_what_transformers_can_say_is_said_in_its_own_words(family, warmup):
    schedule = some(family, epochs=6, warmup=warmup, warmup_start=0.0)
    names = executed(export(schedule, "transformers", updates_per_epoch=5).text)
    assert names["ARGUMENTS"]["lr_scheduler_type"] == NATIVE[family].type
    assert "optimizers" not in names


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, x, labels=None):
        return {"loss": (self.linear(x) - labels).square().mean()}


@pytest.mark.filterwarnings("ignore")  # advice of Transformers and accelerate on devices
@pytest.mark.parametrize("warmup", [{"warmup_start": 0.0}, {"warmup_shape": "exponential"}])
def test_the_trainer_trains_with_it_and_resumes(warmup, tmp_path):
    from transformers import Trainer, TrainerCallback, TrainingArguments

    schedule = Schedule.model_validate({"family": "cosine", "initial_lr": 0.1, "warmup": 1, "epochs": 4, **warmup})
    names = executed(export(schedule, "transformers", updates_per_epoch=3).text)
    assert ("optimizers" in names) == ("warmup_shape" in warmup)
    seen = []

    class Look(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, *, optimizer, **_):
            seen.append(optimizer.param_groups[0]["lr"])

    def trainer(n_updates):
        told = TrainingArguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=1,
            gradient_accumulation_steps=4,
            save_steps=n_updates,
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            **names["ARGUMENTS"],
        )
        model = Line()
        pair = names["optimizers"](model) if "optimizers" in names else (None, None)
        data = [{"x": torch.ones(2), "labels": torch.zeros(1)}] * 12
        return Trainer(model, told, train_dataset=data, optimizers=pair, callbacks=[Look()])

    trainer(6).train()
    assert_agree(np.array(seen), expected(schedule, 3)[: -BEYOND - 1], FLOAT64)
    seen.clear()
    trainer(6).train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    assert_agree(np.array(seen), expected(schedule, 3)[6 : -BEYOND - 1], FLOAT64)
