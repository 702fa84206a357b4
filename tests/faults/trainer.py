"""A worker that trains as a process: it stores states in a folder, and may be killed in the middle of that."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from lrsearch.client import Client
from lrsearch.in_process import load
from lrsearch.launch import killable, patient
from lrsearch.tasks.registry import offers
from lrsearch.training.folder import HALF
from lrsearch.training.prefixes import PrefixStore
from lrsearch.training.trainer import Trainer
from lrsearch.worker import Worker

STEPS = 4
"""Of storing one prefix: its state is begun, is given its name, and the same for its record."""


def main(server: str, folder: Path, step: int | None) -> None:
    """Train for a service until told to end.

    Args:
        server: the service.
        folder: where states are stored.
        step: the process kills itself before this step of storing, counted from 1; None = it does not.
    """
    if step is not None:
        sys.addaudithook(_death(step))
    tasks = load()
    with killable(30), patient(4) as told, Client(server, patience=0.0) as client:
        trainer = Trainer(tasks, PrefixStore(folder))
        Worker(client, trainer, name="w", offers=offers(tasks), hold=2).run(told)


def _death(step: int) -> Any:
    """What Python calls before it opens or renames a file: a kill at one such moment."""
    n_steps = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal n_steps
        if event in ("open", "os.rename") and str(arguments[0]).endswith(HALF):
            n_steps += 1
            if n_steps == step:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook
