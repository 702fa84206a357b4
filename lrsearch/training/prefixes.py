"""Stored prefixes: the state after some epochs of a trajectory with the records of them all, found by key."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import platformdirs

from ..errors import InvalidInput
from .folder import LocalFolder
from .program import EpochRecord, State
from .seal import opened, sealed
from .shelf import FolderShelf, FrontedShelf, MemoryShelf, Shelf
from .url_folder import UrlFolder

GIB = 1024**3
FOLDER_BYTES = 2 * GIB
MEMORY_BYTES = GIB // 4
FRONT_BYTES = GIB // 16
"""What lies in memory before a folder."""
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

    A prefix is a ``.safetensors`` file with the state and a ``.json`` file with key, records and hashes of it all.
    What is missing, truncated, altered or under another's name counts as absent. Several processes may share a folder.

    Args:
        folder: where the files lie: a folder, or a URL that fsspec opens; None = in memory, for this process alone.
        budget_bytes: beyond it the least recently useful are removed; default 2 GiB in a folder, 256 MiB in memory.

    Raises:
        InvalidInput: what it takes to open such a URL is not installed.
    """

    def __init__(self, folder: Path | str | None = None, budget_bytes: int | None = None) -> None:
        self._shelf: Shelf
        if folder is None:
            self._shelf = MemoryShelf(budget_bytes or MEMORY_BYTES)
        else:
            place = UrlFolder(str(folder)) if "://" in str(folder) else LocalFolder(Path(folder))
            budget = budget_bytes or FOLDER_BYTES
            self._shelf = FrontedShelf(FolderShelf(place, budget), min(FRONT_BYTES, budget // 4))

    @classmethod
    def default(cls) -> Self:
        """The user's store: ``LRSEARCH_PREFIXES``, else ``prefixes`` in the user's cache folder of lrsearch.

        ``LRSEARCH_PREFIXES`` is a folder or a URL; ``LRSEARCH_PREFIXES_GIB`` is its budget.

        Raises:
            InvalidInput: either of the two says something else.
        """
        chosen = os.environ.get("LRSEARCH_PREFIXES") or platformdirs.user_cache_path("lrsearch") / "prefixes"
        folder = chosen if "://" in str(chosen) else Path(chosen).expanduser()
        return cls(folder, _budget_bytes(os.environ.get("LRSEARCH_PREFIXES_GIB")))

    def save(self, key: str, prefix: Prefix) -> None:
        """Keep a prefix under its trajectory's key; one that is there already stays."""
        if key not in self._shelf:
            self._shelf.put(key, sealed(key, prefix.records, prefix.state))

    def load(self, key: str) -> Prefix | None:
        """The prefix of ``key``; None where it is missing or not exactly what was written."""
        found = self._shelf.get(key)
        if found is None:
            return None
        try:
            return Prefix(*opened(key, found))
        except Exception as error:
            logger.warning("the stored prefix %s is damaged and left out: %s", key, error)
            self._shelf.drop(key)
            return None

    def longest(self, keys: Sequence[str], *, just_stored: bool = False) -> tuple[int, Prefix] | None:
        """The longest stored prefix of a trajectory.

        Args:
            keys: the trajectory's keys after 0, 1, 2, ... epochs.
            just_stored: whether all of it may have been stored a moment ago, by a process whose newest entries this
                one has not listed yet.

        Returns:
            How many epochs it has, >= 1, and the prefix; None where nothing is stored.
        """
        n_epochs = len(keys)
        if just_stored and (prefix := self.load(keys[-1])) is not None and len(prefix.records) == n_epochs - 1:
            return n_epochs - 1, prefix
        while n_epochs := self._shelf.last(keys, n_epochs):
            prefix = self.load(keys[n_epochs])
            if prefix is not None and len(prefix.records) == n_epochs:
                return n_epochs, prefix
        return None

    def pin(self, owner: str, keys: Collection[str]) -> None:
        """Keep these for an owner, whatever makes room: never more than he asked for last."""
        self._shelf.pin(hashlib.blake2b(owner.encode(), digest_size=8).hexdigest(), keys)

    def need(self, keys: Iterable[str]) -> None:
        """These will be wanted again, so they are the last to make room: forks to come, trials that may go on.

        Keys of which nothing is stored say nothing; a call with all that is wanted, now and then, is meant.
        """
        self._shelf.need(keys)


def _budget_bytes(gib: str | None) -> int | None:
    """``LRSEARCH_PREFIXES_GIB`` in bytes."""
    if not gib:
        return None
    try:
        budget = float(gib) * GIB
        if not 0 < budget < float("inf"):
            raise ValueError
    except ValueError:
        raise InvalidInput(f"`LRSEARCH_PREFIXES_GIB` is a number > 0 (got {gib!r:.100})") from None
    return int(budget)
