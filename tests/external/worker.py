"""A loop in a process of its own: reports, and waits for a line on its input before each epoch that it is told of."""

from __future__ import annotations

import sys

import lrsearch

server, study, worker, *pauses = sys.argv[1:]
for trial in lrsearch.Client(server).trials(study, worker=worker or None):
    with trial:
        for epoch in range(trial.epochs):
            if str(epoch) in pauses:
                print(f"before {epoch}", flush=True)
                sys.stdin.readline()
            trial.report(val_loss=1.0 / (1 + epoch))
            if trial.should_stop:
                print("stopped", flush=True)
                break
    print("over", flush=True)
