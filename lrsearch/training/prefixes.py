"""Stored prefixes: the state after some epochs of a trajectory with the records of them all, found by key."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import platformdirs

from .program import EpochRecord, State
from .shelf import FolderShelf, MemoryShelf, Shelf

FOLDER_BYTES = 2 * 1024**3
MEMORY_BYTES = 256 * 1024**2
FIELDS = tuple(field.name for field in fields(EpochRecord))
logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Prefix:
    """The first epochs of a trajectory.

    Attributes:
        records: of every epoch from the first.
        state: the lane's state after the last of them.
    """

    records: tuple[EpochRecord, ...]
    state: State


class PrefixStore:
    """Checkpoints by the key of their trajectory; written once, checked before use, never a reason to fail.

    A prefix is a ``.safetensors`` file with the state and a ``.json`` file with the records and the hashes of both.
    What is missing, truncated or altered counts as absent. Several processes may share a folder.

    Args:
        folder: where the files lie; None = in memory, for this process alone.
        budget_bytes: beyond it the least recently used are removed; default 2 GiB in a folder, 256 MiB in memory.
    """

    def __init__(self, folder: Path | str | None = None, budget_bytes: int | None = None) -> None:
        self._shelf: Shelf = (
            MemoryShelf(budget_bytes or MEMORY_BYTES)
            if folder is None
            else FolderShelf(Path(folder), budget_bytes or FOLDER_BYTES)
        )

    @classmethod
    def default(cls) -> Self:
        """The user's store: ``LRSEARCH_PREFIXES``, else ``prefixes`` in the user's cache folder of lrsearch."""
        chosen = os.environ.get("LRSEARCH_PREFIXES")
        return cls(Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("lrsearch") / "prefixes")

    def save(self, key: str, prefix: Prefix) -> None:
        """Keep a prefix under its trajectory's key; one that is there already stays."""
        if key in self._shelf:
            return
        from safetensors.numpy import save

        state = save({name: np.ascontiguousarray(array).reshape(array.shape) for name, array in prefix.state.items()})
        content = {
            "records": [_as_json(record) for record in prefix.records],
            "shapes": {name: list(array.shape) for name, array in prefix.state.items()},
            "state": digest(state),
        }
        text = _text(content)
        self._shelf.put(key, state, b'{"content": %b, "hash": "%b"}' % (text, digest(text).encode()))

    def load(self, key: str) -> Prefix | None:
        """The prefix of ``key``; None where it is missing or not exactly what was written."""
        found = self._shelf.get(key)
        if found is None:
            self._shelf.drop(key)
            return None
        try:
            return _checked(*found)
        except Exception as error:
            logger.warning("the stored prefix %s is damaged and left out: %s", key, error)
            self._shelf.drop(key)
            return None

    def longest(self, keys: Sequence[str]) -> tuple[int, Prefix] | None:
        """The longest stored prefix of a trajectory.

        Args:
            keys: the trajectory's keys after 0, 1, 2, ... epochs.

        Returns:
            How many epochs it has, >= 1, and the prefix; None where nothing is stored.
        """
        for n_epochs in range(len(keys) - 1, 0, -1):
            if keys[n_epochs] in self._shelf:
                prefix = self.load(keys[n_epochs])
                if prefix is not None and len(prefix.records) == n_epochs:
                    return n_epochs, prefix
        return None


def digest(content: bytes) -> str:
    """The hash that says whether a file is what was written."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _text(content: Any) -> bytes:
    return json.dumps(content, allow_nan=False).encode()


def _checked(state: bytes, record: bytes) -> Prefix:
    from safetensors.numpy import load

    sidecar = json.loads(record)
    content = sidecar["content"]
    if sidecar["hash"] != digest(_text(content)) or content["state"] != digest(state):
        raise ValueError("its hash differs")
    arrays = load(state)
    if {name: list(array.shape) for name, array in arrays.items()} != content["shapes"]:
        raise ValueError("its shapes differ")
    return Prefix(tuple(_from_json(item) for item in content["records"]), arrays)


def _as_json(record: EpochRecord) -> dict[str, Any]:
    metrics = {name: value if math.isfinite(value) else None for name, value in record.metrics.items()}
    return {**{name: getattr(record, name) for name in FIELDS}, "metrics": metrics}


def _from_json(item: Mapping[str, Any]) -> EpochRecord:
    metrics = {name: math.nan if value is None else value for name, value in item["metrics"].items()}
    divergence = None if item["divergence"] is None else (item["divergence"][0], item["divergence"][1])
    return EpochRecord(**{**item, "metrics": metrics, "divergence": divergence})
