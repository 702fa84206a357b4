"""One rank of trainings by Lightning and Transformers that two processes share; prints JSON, a line a trial."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import warnings

import torch
import torch.distributed as dist

import lrsearch
from lrsearch.errors import InvalidInput

warnings.simplefilter("ignore")
if importlib.util.find_spec("torchvision"):
    from lrsearch.tasks.vision import torchvision_module

    torchvision_module("datasets")  # which may have been built for another torch
import lightning  # noqa: E402
from transformers import Trainer, TrainerCallback, TrainingArguments  # noqa: E402

SERVER, PER_RANK = sys.argv[1], int(sys.argv[2])
BATCHES = 2 * PER_RANK


class Module(lightning.LightningModule):
    """One layer, with the rates that it was trained with."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.rates = []

    def training_step(self, batch, _):
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch, _):
        self.log("val_loss", float(10 * dist.get_rank() + self.current_epoch))  # rank 0's counts

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        optimizer.register_step_post_hook(lambda *_: self.rates.append(optimizer.param_groups[0]["lr"]))
        return optimizer


def by_lightning(trial, cancel):
    class Cancel(lightning.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            cancel(trainer.current_epoch)

    module = Module()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(BATCHES, 2)))
    trainer = lightning.Trainer(
        max_epochs=trial.epochs,
        callbacks=[Cancel(), lrsearch.callbacks.Lightning(trial)],
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader, loader)
    return module.rates


class Lines(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x, labels=None):
        return {"loss": (self.layer(x) - labels).square().mean()}


def by_transformers(trial, cancel):
    rates = []

    class Look(TrainerCallback):
        def on_epoch_begin(self, args, state, control, **_):
            cancel(round(state.epoch or 0))

        def on_optimizer_step(self, args, state, control, *, optimizer, **_):
            rates.append(optimizer.param_groups[0]["lr"])

    model = Lines()
    data = [{"x": torch.ones(2), "labels": torch.zeros(1)}] * BATCHES
    arguments = TrainingArguments(
        output_dir=tempfile.gettempdir(),
        num_train_epochs=trial.epochs,
        per_device_train_batch_size=1,
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        ddp_backend="gloo",
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    callbacks = [Look(), lrsearch.callbacks.Transformers(trial)]
    Trainer(
        model, arguments, train_dataset=data, eval_dataset=data, optimizers=(optimizer, None), callbacks=callbacks
    ).train()
    return rates


def main():
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    with lrsearch.Client(SERVER) as client:
        for trial in client.trials("own"):

            def cancel(epoch, number=trial.number):
                if (number % 2, rank, epoch) == (1, 0, 1):
                    client.cancel_trial("own", number)

            with trial:
                rates = (by_lightning if trial.number < 2 else by_transformers)(trial, cancel)
            wanted = trial.schedule.lr(torch.arange(len(rates)).numpy(), PER_RANK).tolist()
            print(json.dumps([trial.number, len(rates), rates == wanted, trial.history, trial.world]), flush=True)
        for trial in client.trials("alone", world=1):
            for train in (by_lightning, by_transformers):
                try:
                    train(trial, lambda epoch: None)
                except InvalidInput as refused:
                    print(json.dumps(str(refused)), flush=True)


if __name__ == "__main__":
    main()
