"""A Lightning module on scanned digits, its schedule tuned through a running service.

In one terminal, then another:

    lrsearch serve --workers 0
    python examples/lightning_digits.py

From several terminals at once it searches as many times as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split

import lrsearch

STUDY = {
    "name": "lightning-digits",
    "task": "external",
    "epochs": 8,
    "space": {
        "family": ["cosine", "wsd"],
        "initial_lr": {"low": 1e-2, "high": 1.0, "log": True},
        "warmup": [0, 1],
    },
    "objective": {"metric": "val_loss", "direction": "minimize"},
    "pruner": "median",
    "budget": {"trials": 16},
}


class Digits(lightning.LightningModule):
    """64-32-10 with SGD; ``schedule`` None = the rate is set from outside."""

    def __init__(self, schedule: lrsearch.Schedule | None, updates_per_epoch: int) -> None:
        super().__init__()
        self.schedule, self.updates_per_epoch = schedule, updates_per_epoch
        self.network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        """The loss of a batch."""
        return torch.nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        """Log the loss of a batch."""
        self.log("val_loss", self.training_step(batch, index))

    def configure_optimizers(self) -> Any:
        """SGD, and where there is a schedule its own LambdaLR, stepped at every update."""
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0, momentum=0.9)
        if self.schedule is None:
            return optimizer
        scheduler = self.schedule.to_torch(optimizer, updates_per_epoch=self.updates_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def fit(
    seed: int, epochs: int, schedule: lrsearch.Schedule | None = None, callbacks: Sequence[lightning.Callback] = ()
) -> float:
    """Train; the validation loss at the end."""
    lightning.seed_everything(seed, verbose=False)
    model = Digits(schedule, updates_per_epoch=23)  # 1,437 examples in batches of 64
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    train, held_out = random_split(data, [1437, 360], torch.Generator().manual_seed(0))
    trainer = lightning.Trainer(
        max_epochs=epochs,
        callbacks=list(callbacks),
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(train, 64, shuffle=True), DataLoader(held_out, 360))
    return trainer.callback_metrics["val_loss"].item()


def main() -> None:
    """Search, then train with the best schedule."""
    with lrsearch.Client() as client:  # LRSEARCH_SERVER, or this machine
        client.create(STUDY)
        for trial in client.trials("lightning-digits"):
            with trial:
                loss = fit(trial.seed, trial.epochs, callbacks=[lrsearch.callbacks.Lightning(trial)])
            print(f"trial {trial.number}: {trial.params}, val_loss {loss:.4f}")

        best = client.best("lightning-digits")
        again = fit(0, best.schedule.epochs, best.schedule)
        print(f"the best, trial {best.trial}: val_loss {best.value:.4f}; again with its LambdaLR: {again:.4f}")


if __name__ == "__main__":
    main()
