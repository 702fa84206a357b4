"""A plain PyTorch loop on scanned digits, its schedule tuned through a running service.

In one terminal, then another:

    lrsearch serve --workers 0
    python examples/torch_digits.py

From several terminals at once it searches as many times as fast. Kill it, or the service: what was measured is kept.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

import lrsearch

STUDY = {
    "name": "torch-digits",
    "task": "external",
    "epochs": 8,
    "space": {
        "family": ["cosine", "step"],
        "initial_lr": {"low": 1e-2, "high": 1.0, "log": True},
        "warmup": [0, 1],
    },
    "objective": {"metric": "val_loss", "direction": "minimize"},
    "pruner": "median",
    "budget": {"trials": 16},
}
BATCH_SIZE = 64
UPDATES_PER_EPOCH = 23  # 1,437 examples in batches of 64


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels."""
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)


def fit(schedule: lrsearch.Schedule, seed: int, trial: lrsearch.external.LiveTrial | None = None) -> float:
    """Train; the validation loss at the end. A ``trial`` hears of every epoch, and may stop."""
    images, labels = data()
    draw = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)  # any number: the schedule sets the rate
    scheduler = schedule.to_torch(optimizer, updates_per_epoch=UPDATES_PER_EPOCH)
    loss = torch.nn.functional.cross_entropy
    for _ in range(schedule.epochs):
        for batch in torch.randperm(1437, generator=draw).split(BATCH_SIZE):
            optimizer.zero_grad()
            loss(model(images[batch]), labels[batch]).backward()
            optimizer.step()
            scheduler.step()
        with torch.no_grad():
            val_loss = loss(model(images[1437:]), labels[1437:]).item()
        if trial is not None:
            trial.report(val_loss=val_loss)
            if trial.should_stop:
                break
    return val_loss


def main() -> None:
    """Search, then train with the best schedule."""
    with lrsearch.Client() as client:  # LRSEARCH_SERVER, or this machine
        client.create(STUDY)
        for trial in client.trials("torch-digits"):
            with trial:
                loss = fit(trial.schedule, trial.seed, trial)
            print(f"trial {trial.number}: {trial.params}, val_loss {loss:.4f}")

        best = client.best("torch-digits")
        again = fit(best.schedule, seed=0)
        print(f"the best, trial {best.trial}: val_loss {best.value:.4f}; again with its LambdaLR: {again:.4f}")


if __name__ == "__main__":
    main()
