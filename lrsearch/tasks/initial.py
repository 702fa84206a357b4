"""A task's initial weights: a function of the training seed, whatever was drawn before."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from .module import check_module, copied, tensors_of
from .task import Task

_keeps: WeakKeyDictionary[Task, bool] = WeakKeyDictionary()
"""Whether a task's ``model()`` returns tensors that it returned before."""
GLOBALS = threading.RLock()
"""Held while the process's generators or torch's settings are not as they were found: by one thread at a time, or two
trainers in one process would draw each other's numbers."""


@contextmanager
def seeded(seed: int, *, torch_too: bool) -> Iterator[None]:
    """Python's, numpy's and torch's global generators started from ``seed``; afterwards they are as before."""
    with GLOBALS:
        python, legacy = random.getstate(), np.random.get_state()
        seed_python(seed)
        try:
            if torch_too:
                with _torch_seeded(seed):
                    yield
            else:
                yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)


def seed_python(seed: int) -> None:
    """Start Python's and numpy's global generators from ``seed``."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextmanager
def _torch_seeded(seed: int) -> Iterator[None]:
    import torch

    dtype = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)


def initial_model(task: Task, seed: int) -> Any:
    """``task.model()`` with its weights drawn from ``seed`` on the processor, in float32 where torch draws them.

    What a task hands out more than once (a module that it keeps, a body that all its models have) is copied: training
    must not reach it.

    Raises:
        InvalidInput: it is no module that can be trained here.
    """
    torch_too = task.trained_by == "torch"
    with seeded(seed, torch_too=torch_too):
        model = task.model()
    if not torch_too:
        return model
    check_module(task, model)
    if task not in _keeps:
        with seeded(seed, torch_too=True):
            _keeps[task] = not tensors_of(model).isdisjoint(tensors_of(task.model()))
    return copied(task, model) if _keeps[task] else model


def initial_arrays(task: Task, seed: int) -> dict[str, np.ndarray]:
    """The initial weights and buffers by name."""
    model = initial_model(task, seed)
    if isinstance(model, np.ndarray):
        return {"": model}
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: np.asarray(tensor.detach().cpu()) for name, tensor in named}
