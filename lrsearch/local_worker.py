"""A worker on this machine: the tasks, the trainer and the prefix store that a worker needs, put together."""

from __future__ import annotations

import contextlib
import gc
import platform
import threading
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING

from .errors import InvalidInput
from .leasing import LeaseVerbs
from .worker import Worker

if TYPE_CHECKING:
    from .tasks.task import Task


def versions() -> dict[str, str]:
    """Versions that may matter for a number's last bits, of what is installed."""
    found = {"python": platform.python_version()}
    for package in ("lrsearch", "numpy", "torch"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def on_this_machine(
    verbs: LeaseVerbs,
    tasks: Mapping[str, type[Task]],
    *,
    name: str | None = None,
    hold: int | None = None,
    study: str | None = None,
    device: str | None = None,
) -> Worker:
    """A worker that trains ``tasks`` here, with the user's prefix store, and announces them.

    Args:
        verbs: the service, or a client of it.
        tasks: every task by name.
        name: the worker's id; by default host and process.
        hold: the most trials to hold at once, >= 1; None = as many as can share.
        study: work on this study only, and end with it.
        device: ``"cpu"``, ``"cuda:1"``, ...; None = the best one here.
    """
    from .tasks.registry import offers
    from .training.prefixes import PrefixStore
    from .training.trainer import Trainer

    return Worker(
        verbs,
        Trainer(tasks, PrefixStore.default(), device),
        name=name,
        offers=offers(tasks),
        hold=hold,
        study=study,
        device=device_name(device),
        versions=versions(),
    )


def import_ahead() -> None:
    """Import what torch leaves to whoever first uses it, in a thread of its own: two seconds no study has to wait.

    What was imported stays: Python's collector looks through it no more, which takes longer than an epoch may.
    """

    def make_one() -> None:
        with contextlib.suppress(ModuleNotFoundError):  # without torch there is only numpy
            import torch
            import torch.utils.flop_counter

            torch.optim.SGD([torch.zeros(1)], lr=0.0)
        gc.collect()
        gc.freeze()

    threading.Thread(target=make_one, name="imports", daemon=True).start()


def device_name(device: str | None = None) -> str:
    """The device that training would use here, for people to read.

    Raises:
        InvalidInput: torch knows no such device.
    """
    try:
        from .training.device import chosen_device
    except ModuleNotFoundError:
        return "cpu"  # without torch there is only numpy
    try:
        return str(chosen_device(device))
    except RuntimeError as error:
        raise InvalidInput(f"a device is cpu, cuda:0, mps, ... (got {device}): {error}", field="device") from None
