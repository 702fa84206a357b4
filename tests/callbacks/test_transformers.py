"""Transformers' Trainer trains a trial as its schedule says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lrsearch
from lrsearch.errors import InvalidInput
from lrsearch.external import trials

from ..exports.players import framework
from .loops import run_example

PER_EPOCH = 6

pytestmark = pytest.mark.filterwarnings("ignore")  # advice of Transformers and accelerate on devices


@pytest.fixture(scope="module", autouse=True)
def imported():
    framework("transformers", "transformers.trainer")


class Lines(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(2, 1) for _ in range(n))

    def forward(self, x, labels=None):
        return {"loss": sum((layer(x) - labels).square().mean() for layer in self.layers)}


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter([{"x": torch.ones(2), "labels": torch.zeros(1)}] * PER_EPOCH)


def train(trial, tmp_path, *, groups=1, names=(), endless=False, updates_per_epoch=None, **told):
    """Train a trial; the rate in force at each update, of each group where they have names."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    seen = []

    class Look(TrainerCallback):
        def on_optimizer_step(self, args, state, control, *, optimizer, **_):
            rates = [group["lr"] for group in optimizer.param_groups]
            seen.append(rates if names else rates[0])

    accumulated = told.setdefault("gradient_accumulation_steps", 1)
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        **{"num_train_epochs": trial.epochs, "eval_strategy": "epoch", "logging_strategy": "epoch", **told},
    )
    model = Lines(groups)
    parts = [{"params": layer.parameters(), "lr": 10.0**-n} for n, layer in enumerate(model.layers)]
    parts = [part | ({"name": names[n]} if names else {}) for n, part in enumerate(parts)]
    data = [{"x": torch.ones(2), "labels": torch.zeros(1)}] * (PER_EPOCH * accumulated - accumulated // 2)
    trainer = Trainer(
        model,
        arguments,
        train_dataset=Endless() if endless else data,
        eval_dataset=data[:2],
        optimizers=(torch.optim.SGD(parts), None),
        callbacks=[lrsearch.callbacks.Transformers(trial, updates_per_epoch=updates_per_epoch), Look()],
    )
    trainer.train()
    trainer.evaluate()  # of no concern to the trial
    return seen


@pytest.mark.parametrize("family", ["step", "one_cycle", "plateau", "adaptive_warmup"])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_it_trains_with_the_rate_of_every_update_and_reports(service, external, tmp_path, family, accumulate):
    service.create(external(space={"family": family, "initial_lr": 0.01, "warmup": 1}, budget={"trials": 1}))
    for trial in trials(service, "own"):
        with trial:
            rates = train(trial, tmp_path, gradient_accumulation_steps=accumulate)
    wanted = trial.schedule.lr(np.arange(5 * PER_EPOCH), PER_EPOCH, history=trial.history[:-1])
    assert rates == wanted.tolist()
    assert service.trial("own", 0).state == "completed"
    curve = service.curve("own", 0)
    assert [sorted(point.metrics) for point in curve] == [["train_loss", "val_loss"]] * 5


HEAD = {"family": "step", "initial_lr": 0.03, "warmup": 1, "decay_rate": 0.5, "step_size": 2}


def test_parameter_groups_have_their_own_rates(service, external, tmp_path):
    space = {"family": "cosine", "initial_lr": 0.01, "groups": {"head": HEAD}}
    service.create(external(space=space, budget={"trials": 2}))
    loop = trials(service, "own")
    with next(loop) as trial:
        rates = train(trial, tmp_path, groups=2, names=("head", "body"))
    updates = np.arange(5 * PER_EPOCH)
    wanted = [part.lr(updates, PER_EPOCH) for part in (dict(trial.schedule.groups)["head"], trial.schedule)]
    assert rates == np.stack(wanted, axis=1).tolist()
    with pytest.raises(InvalidInput, match='"name": "head"'), next(loop) as trial:
        train(trial, tmp_path)


def test_a_horizon_in_updates_is_counted_in_intervals(service, external, tmp_path):
    space = {"family": "cosine", "initial_lr": 0.01, "warmup": 9}
    service.create(external(epochs=None, updates=24, eval_every=8, space=space, budget={"trials": 2}))
    steps = {"eval_strategy": "steps", "max_steps": 24}
    loop = trials(service, "own")
    with next(loop) as trial:
        assert train(trial, tmp_path, eval_steps=8, **steps) == trial.schedule.lr(np.arange(24)).tolist()
    with pytest.raises(InvalidInput, match="eval_every = 8"), next(loop) as trial:
        train(trial, tmp_path, eval_steps=6, **steps)
    assert [row.state for row in service.trials("own").items] == ["completed", "failed"]


def test_it_stops_when_the_service_says_so_and_where_the_trial_ends(service, external, tmp_path):
    service.create(external(budget={"trials": 2}))
    loop = trials(service, "own")
    with next(loop) as trial:
        service.cancel_trial("own", trial.number)
        assert len(train(trial, tmp_path)) == PER_EPOCH
    with next(loop) as trial:
        assert len(train(trial, tmp_path, num_train_epochs=50)) == 5 * PER_EPOCH
    assert [row.state for row in service.trials("own").items] == ["cancelled", "completed"]


@pytest.mark.parametrize(
    ("told", "law"),
    [
        ({"num_train_epochs": 4}, "num_train_epochs=trial.epochs"),
        ({"groups": 2}, r"different lr \(got \[1.0, 0.1\]\)"),
        ({"eval_strategy": "steps", "eval_steps": 6}, "eval_strategy="),
        ({"updates_per_epoch": 5}, "5 updates, and the loop goes on"),
        ({"endless": True, "max_steps": 30}, "give the callback `updates_per_epoch`"),
    ],
)
def test_what_cannot_be_the_trials_training_is_refused(service, external, tmp_path, told, law):
    service.create(external(budget={"trials": 1}))
    trial = next(loop := trials(service, "own"))
    with pytest.raises(InvalidInput, match=law):
        train(trial, tmp_path, **told)
    loop.close()


def test_a_trial_that_processes_share_is_not_trained_by_one_of_them_alone(service, external, tmp_path):
    service.create(external(budget={"trials": 1}))
    trial = next(loop := trials(service, "own", rank=0, world=2, broadcast=lambda said: said))
    with pytest.raises(InvalidInput, match="2 processes share trial 0"):
        train(trial, tmp_path)
    loop.close()


def test_the_example_tunes_a_bert_through_the_service(service, tmp_path):
    cut = {"epochs": 2, "budget": {"trials": 2}}
    run_example("transformers_tokens", service, tmp_path, **cut)
