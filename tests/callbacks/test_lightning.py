"""Lightning's Trainer trains a trial as its schedule says."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import lrsearch
from lrsearch.errors import InvalidInput
from lrsearch.external import trials

from ..exports.players import framework
from .loops import run_example

PER_EPOCH = 6

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on loaders and loggers


@pytest.fixture(scope="module")
def lightning():
    return framework("lightning")


def fit(lightning, trial, *, max_epochs=None, n=PER_EPOCH, groups=1, names=(), scheduled=False, endless=False, **told):
    """Train a trial; the rate in force at each update, of each group where they have names."""
    seen = []
    settings = {name: told.pop(name) for name in ("accumulate_grad_batches",) if name in told}

    class Model(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(2, 1) for _ in range(groups))

        def training_step(self, batch, _):
            loss = sum(layer(batch[0]).square().mean() for layer in self.layers)
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch, _):
            self.log("val_loss", float(self.current_epoch + 1))

        def configure_optimizers(self):
            parts = [{"params": layer.parameters(), "lr": 10.0**-n} for n, layer in enumerate(self.layers)]
            parts = [part | ({"name": names[n]} if names else {}) for n, part in enumerate(parts)]
            optimizer = torch.optim.SGD(parts, momentum=0.5)
            optimizer.register_step_post_hook(lambda *_: seen.append([group["lr"] for group in optimizer.param_groups]))
            if scheduled:
                return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]
            return optimizer

    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([torch.ones(2)] * n)

    def loader(dataset):
        return torch.utils.data.DataLoader(dataset)

    whole = torch.utils.data.TensorDataset(torch.ones(n, 2))
    trainer = lightning.Trainer(
        max_epochs=trial.epochs if max_epochs is None else max_epochs,
        callbacks=[lrsearch.callbacks.Lightning(trial, **told)],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(Model(), loader(Endless()) if endless else loader(whole), loader(whole))
    return np.array(seen) if names else np.array(seen)[:, 0]


@pytest.mark.parametrize("family", ["step", "one_cycle", "plateau", "adaptive_warmup"])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_it_trains_with_the_rate_of_every_update_and_reports(lightning, service, external, family, accumulate):
    service.create(external(space={"family": family, "initial_lr": 0.1, "warmup": 1}, budget={"trials": 1}))
    for trial in trials(service, "own"):
        with trial:
            rates = fit(
                lightning, trial, accumulate_grad_batches=accumulate, n=accumulate * PER_EPOCH - accumulate // 2
            )
    wanted = trial.schedule.lr(np.arange(5 * PER_EPOCH), PER_EPOCH, history=trial.history[:-1])
    assert rates.tolist() == wanted.tolist()
    row = service.trial("own", 0)
    assert (row.state, row.value) == ("completed", 5.0)
    curve = service.curve("own", 0)
    assert [point.metrics["val_loss"] for point in curve] == [1, 2, 3, 4, 5]
    assert all(point.metrics["train_loss"] is not None for point in curve)


HEAD = {"family": "step", "initial_lr": 0.3, "warmup": 1, "decay_rate": 0.5, "step_size": 2}


def test_parameter_groups_have_their_own_rates(lightning, service, external):
    space = {"family": "cosine", "initial_lr": 0.1, "groups": {"head": HEAD}}
    service.create(external(space=space, budget={"trials": 2}))
    loop = trials(service, "own")
    with next(loop) as trial:
        rates = fit(lightning, trial, groups=2, names=("head", "body"))
    updates = np.arange(5 * PER_EPOCH)
    wanted = [part.lr(updates, PER_EPOCH) for part in (dict(trial.schedule.groups)["head"], trial.schedule)]
    assert rates.tolist() == np.stack(wanted, axis=1).tolist()
    with pytest.raises(InvalidInput, match='"name": "head"'), next(loop) as trial:
        fit(lightning, trial)


def test_it_stops_when_the_service_says_so_and_where_the_trial_ends(lightning, service, external):
    service.create(external(budget={"trials": 2}))
    loop = trials(service, "own")
    with next(loop) as trial:
        service.cancel_trial("own", trial.number)
        assert len(fit(lightning, trial)) == PER_EPOCH
    with next(loop) as trial:
        assert len(fit(lightning, trial, max_epochs=50, endless=True, updates_per_epoch=PER_EPOCH)) == 5 * PER_EPOCH
    assert [row.state for row in service.trials("own").items] == ["cancelled", "completed"]


@pytest.mark.parametrize(
    ("told", "law"),
    [
        ({"max_epochs": 4}, "max_epochs=trial.epochs"),
        ({"scheduled": True}, "and no scheduler"),
        ({"groups": 2}, r"different lr \(got \[1.0, 0.1\]\)"),
        ({"endless": True}, "give the callback `updates_per_epoch`"),
        ({"updates_per_epoch": 5}, "5 updates, and the loop goes on"),
    ],
)
def test_what_cannot_be_the_trials_training_is_refused(lightning, service, external, told, law):
    service.create(external(budget={"trials": 1}))
    trial = next(loop := trials(service, "own"))
    with pytest.raises(InvalidInput, match=law):
        fit(lightning, trial, **told)
    loop.close()


def test_a_trial_that_processes_share_is_not_trained_by_one_of_them_alone(lightning, service, external):
    service.create(external(budget={"trials": 1}))
    trial = next(loop := trials(service, "own", rank=0, world=2, broadcast=lambda said: said))
    with pytest.raises(InvalidInput, match="2 processes share trial 0"):
        fit(lightning, trial)
    loop.close()


def test_the_example_tunes_a_module_through_the_service(lightning, service, tmp_path):
    cut = {"epochs": 2, "budget": {"trials": 2}}
    run_example("lightning_digits", service, tmp_path, **cut)
