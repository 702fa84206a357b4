"""What is written for Lightning sets the schedule's rate at every update, in its Trainer too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.exports import export
from lrsearch.schedules import CLOSED_FORMS, WARMUPS, Schedule

from .players import (
    BEYOND,
    FLOAT64,
    MAX_UPDATES,
    RECIPE,
    SETS,
    assert_agree,
    executed,
    expected,
    framework,
    rates_in_force,
)

COSINE = Schedule.model_validate({"family": "cosine", "initial_lr": 0.1, "warmup": 1, "epochs": 4})


@pytest.mark.parametrize("shape", WARMUPS)
@pytest.mark.parametrize("family", CLOSED_FORMS)
@settings(max_examples=SETS)
@given(data=st.data())
def test_configure_optimizers_sets_the_rate_of_every_update(family, shape, schedules, data):
    schedule, per_epoch = data.draw(schedules(family, shape, MAX_UPDATES))
    names = executed(export(schedule, "lightning", updates_per_epoch=per_epoch, recipe=RECIPE).text)
    configured = names["configure_optimizers"](torch.nn.Linear(2, 1))
    assert configured["optimizer"].defaults["momentum"] == 0.9
    moved = configured["lr_scheduler"]
    assert (moved["interval"], moved["frequency"]) == ("step", 1)
    rates = expected(schedule, per_epoch)
    assert_agree(rates_in_force(configured["optimizer"], moved["scheduler"], len(rates))[:, 0], rates, FLOAT64)


@pytest.fixture(scope="module")
def lightning():
    return framework("lightning")


@pytest.mark.filterwarnings("ignore")  # Lightning's advice on loaders and loggers
@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_trainer_trains_with_it_and_resumes(lightning, accumulate, tmp_path):
    per_epoch = 6
    names = executed(export(COSINE, "lightning", updates_per_epoch=per_epoch).text)

    class Model(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(2, 1)
            self.seen = []

        def training_step(self, batch, _):
            return self.linear(batch[0]).square().mean()

        def on_before_optimizer_step(self, optimizer):
            self.seen.append(optimizer.param_groups[0]["lr"])

        configure_optimizers = names["configure_optimizers"]

    def trainer(epochs):
        return lightning.Trainer(
            max_epochs=epochs,
            accumulate_grad_batches=accumulate,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(per_epoch * accumulate, 2)))
    first, then = Model(), Model()
    began = trainer(2)
    began.fit(first, loader)
    began.save_checkpoint(tmp_path / "two.ckpt")
    trainer(4).fit(then, loader, ckpt_path=tmp_path / "two.ckpt")
    seen = np.array(first.seen + then.seen)
    assert_agree(seen, expected(COSINE, per_epoch)[: -BEYOND - 1], FLOAT64)
