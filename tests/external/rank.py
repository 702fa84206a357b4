"""One rank of a training that several processes share: what it met is printed as JSON, a line a trial."""

from __future__ import annotations

import json
import sys

import torch
import torch.distributed as dist

import lrsearch

(server,) = sys.argv[1:]
dist.init_process_group("gloo")
rank = dist.get_rank()
with lrsearch.Client(server) as client:
    for trial in client.trials("own"):
        stops = []
        with trial:
            for epoch in range(trial.epochs):
                if (trial.number, rank, epoch) == (5, 1, 2):
                    raise RuntimeError("out of memory")
                dist.all_reduce(torch.ones(3))  # what a training does in step
                if (trial.number, rank, epoch) == (0, 0, 2):
                    client.cancel_trial("own", 0)
                trial.report(val_loss=trial.number % 5 + 10.0 * rank)
                stops.append(trial.should_stop)
                if trial.should_stop:
                    break
        lr = trial.schedule.initial_lr
        print(json.dumps([trial.number, lr, stops, trial.history, [trial.rank, trial.world]]), flush=True)
