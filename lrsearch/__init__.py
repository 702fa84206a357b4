"""lrsearch: search learning-rate schedules for the price of a few trainings.

The names below load what they need when first used, so that ``import lrsearch`` stays light::

    Schedule            a schedule of any family: lr_table(), to_torch()
    Client              the service's verbs over HTTP
    run                 a study in this process
    callbacks           a trial trained by Keras's, Lightning's or Transformers' own loop
    import_schedule     a torch scheduler, a transformers or timm config as a Schedule
    diagnose, Recorder  what a training's records show
    range_test          which learning rates are good, for any training loop; torch_range_test for PyTorch's
    Task, Options, Data what your own task is made of
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import callbacks
    from .client import Client
    from .diagnosis import diagnose
    from .errors import Conflict, InvalidInput, LrsearchError, NotAllowed, NotFound, Unavailable
    from .finder import range_test
    from .imports import import_schedule
    from .in_process import run
    from .schedules import Schedule
    from .study import StudySpec
    from .tasks.task import Data, Options, Task
    from .training.recorder import Recorder
    from .training.torch_range_test import torch_range_test

_HOMES = {
    "Client": "client",
    "Conflict": "errors",
    "Data": "tasks.task",
    "InvalidInput": "errors",
    "LrsearchError": "errors",
    "NotAllowed": "errors",
    "NotFound": "errors",
    "Options": "tasks.task",
    "Recorder": "training.recorder",
    "Schedule": "schedules",
    "StudySpec": "study",
    "Task": "tasks.task",
    "Unavailable": "errors",
    "diagnose": "diagnosis",
    "import_schedule": "imports",
    "range_test": "finder",
    "run": "in_process",
    "torch_range_test": "training.torch_range_test",
}

__version__ = "0.1.0"
_ROOMS = ("callbacks",)
__all__ = [
    "Client",
    "Conflict",
    "Data",
    "InvalidInput",
    "LrsearchError",
    "NotAllowed",
    "NotFound",
    "Options",
    "Recorder",
    "Schedule",
    "StudySpec",
    "Task",
    "Unavailable",
    "__version__",
    "callbacks",
    "diagnose",
    "import_schedule",
    "range_test",
    "run",
    "torch_range_test",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
