"""One model trained by several processes (DistributedDataParallel), its schedule tuned through a running service.

In one terminal, then another:

    lrsearch serve --workers 0
    torchrun --nproc-per-node 2 examples/torch_ddp.py

Every process runs the same loop. Rank 0 asks and reports, the others hear it there: all train the same schedule, and
all stop after the same epoch.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits

import lrsearch

STUDY = {
    "name": "torch-ddp",
    "task": "external",
    "epochs": 6,
    "space": {
        "family": ["cosine", "step"],
        "initial_lr": {"low": 1e-2, "high": 1.0, "log": True},
    },
    "objective": {"metric": "val_loss", "direction": "minimize"},
    "pruner": "median",
    "budget": {"trials": 16},
}
BATCH_SIZE = 64  # of all processes together
UPDATES_PER_EPOCH = 23


def fit(schedule: lrsearch.Schedule, seed: int, trial: lrsearch.external.LiveTrial | None = None) -> float:
    """Train; the validation loss at the end, the same on every rank."""
    images, labels = load_digits(return_X_y=True)
    images, labels = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    draw = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    model = torch.nn.parallel.DistributedDataParallel(network)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    scheduler = schedule.to_torch(optimizer, updates_per_epoch=UPDATES_PER_EPOCH)
    loss = torch.nn.functional.cross_entropy
    rank, world = dist.get_rank(), dist.get_world_size()
    for _ in range(schedule.epochs):
        for batch in torch.randperm(1437, generator=draw).split(BATCH_SIZE):
            own = batch[rank::world]
            optimizer.zero_grad()
            loss(model(images[own]), labels[own]).backward()
            optimizer.step()
            scheduler.step()
        with torch.no_grad():
            val_loss = loss(network(images[1437:]), labels[1437:]).item()
        if trial is not None:
            trial.report(val_loss=val_loss)  # on every rank; rank 0's number counts
            if trial.should_stop:
                break
    return val_loss


def main() -> None:
    """Search, then train with the best schedule."""
    dist.init_process_group("gloo")
    first = dist.get_rank() == 0
    with lrsearch.Client() as client:  # LRSEARCH_SERVER, or this machine
        if first:
            client.create(STUDY)
        dist.barrier()
        for trial in client.trials("torch-ddp"):
            with trial:
                loss = fit(trial.schedule, trial.seed, trial)
            if first:
                print(f"trial {trial.number}: {trial.params}, val_loss {loss:.4f}")

        best = client.best("torch-ddp")
        again = fit(best.schedule, seed=0)
        if first:
            print(f"the best, trial {best.trial}: val_loss {best.value:.4f}; again with its LambdaLR: {again:.4f}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
