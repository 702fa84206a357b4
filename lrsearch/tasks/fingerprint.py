"""Fingerprints: what a task is, so that an edited one is never served yesterday's states."""

from __future__ import annotations

import hashlib
from weakref import WeakKeyDictionary

import numpy as np

from .initial import initial_arrays
from .task import Data, Task

_data: WeakKeyDictionary[Data, str] = WeakKeyDictionary()
_tasks: WeakKeyDictionary[Task, dict[int, str]] = WeakKeyDictionary()


def fingerprint(task: Task, seed: int, data: Data | None = None) -> str:
    """The hash of version, defining files, initial weights for ``seed``, and data; remembered per process.

    Args:
        task: an instance, with its options.
        seed: the training seed.
        data: what ``task.data()`` returned, where it is at hand.
    """
    known = _tasks.setdefault(task, {})
    if seed not in known:
        total = hashlib.blake2b(digest_size=16)
        total.update(f"{task.name} {task.version} {task.source} {data_digest(data or task.data())}".encode())
        for name, array in sorted(initial_arrays(task, seed).items()):
            _update(total, name, array)
        known[seed] = total.hexdigest()
    return known[seed]


def data_digest(data: Data) -> str:
    """The hash of every array of ``data``."""
    if data not in _data:
        total = hashlib.blake2b(digest_size=16)
        for part, pair in data.arrays().items():
            for side, array in zip(("inputs", "targets"), pair, strict=True):
                _update(total, f"{part} {side}", array)
        _data[data] = total.hexdigest()
    return _data[data]


def _update(total: hashlib.blake2b, name: str, array: np.ndarray) -> None:
    total.update(f"{name} {array.dtype.str} {array.shape}".encode())
    total.update(np.ascontiguousarray(array).data)
