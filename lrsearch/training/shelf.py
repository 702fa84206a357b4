"""Where prefixes lie: pairs of byte strings by key, in memory or in a folder that several processes share."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

STATE, RECORD = ".safetensors", ".json"
SMALLEST_CHARGE = 64 * 1024
"""An entry counts as at least this many bytes, so that a budget also bounds the number of files."""
STALE_SECONDS = 3600.0
"""Half-written files older than this were left by a process that is gone."""
ROOM_AFTER_EVICTION = 0.9
logger = logging.getLogger(__name__)


class Shelf(Protocol):
    """Entries are written once and never change; those least recently used make room."""

    def __contains__(self, key: str) -> bool: ...

    def get(self, key: str) -> tuple[bytes, bytes] | None:
        """State and record of ``key``; None where either is missing."""

    def put(self, key: str, state: bytes, record: bytes) -> None:
        """Keep an entry; an earlier one of that key stays as it is."""

    def drop(self, key: str) -> None:
        """Forget an entry that turned out to be damaged."""


class MemoryShelf:
    """Entries of this process alone."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._entries: OrderedDict[str, tuple[bytes, bytes]] = OrderedDict()
        self._used = 0

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def get(self, key: str) -> tuple[bytes, bytes] | None:
        """As ``Shelf.get``."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: str, state: bytes, record: bytes) -> None:
        """As ``Shelf.put``."""
        if key in self._entries:
            return
        self._entries[key] = (state, record)
        self._used += len(state) + len(record)
        while self._used > self._budget:
            self.drop(next(iter(self._entries)))

    def drop(self, key: str) -> None:
        """As ``Shelf.drop``."""
        for part in self._entries.pop(key, ()):
            self._used -= len(part)


class FolderShelf:
    """Two files an entry, written under another name first; the record last, as it makes the entry whole.

    Nothing here raises for what happens to the files: a full disk or a folder that is gone costs training time only.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget = budget_bytes
        self._used: int | None = None
        self._warned = False

    def __contains__(self, key: str) -> bool:
        return (self._folder / f"{key}{RECORD}").exists()

    def get(self, key: str) -> tuple[bytes, bytes] | None:
        """As ``Shelf.get``; counts as use."""
        try:
            record, state = (self._folder / f"{key}{RECORD}"), (self._folder / f"{key}{STATE}")
            found = state.read_bytes(), record.read_bytes()
            os.utime(record)
        except OSError:
            return None
        return found

    def put(self, key: str, state: bytes, record: bytes) -> None:
        """As ``Shelf.put``."""
        if key in self:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(f"{key}{STATE}", state)
            self._write(f"{key}{RECORD}", record)
            self._make_room(max(len(state) + len(record), SMALLEST_CHARGE))
        except OSError as error:
            if not self._warned:
                logger.warning("prefixes cannot be stored in %s: %s; training goes on", self._folder, error)
            self._warned = True

    def drop(self, key: str) -> None:
        """As ``Shelf.drop``: the record first, so that no half entry is ever whole."""
        for suffix in (RECORD, STATE):
            try:
                (self._folder / f"{key}{suffix}").unlink(missing_ok=True)
            except OSError as error:
                logger.debug("cannot remove %s%s: %s", key, suffix, error)

    def _write(self, name: str, content: bytes) -> None:
        half = self._folder / f".{name}.{secrets.token_hex(4)}.half"
        try:
            half.write_bytes(content)
            half.replace(self._folder / name)
        except OSError:
            half.unlink(missing_ok=True)
            raise

    def _make_room(self, added: int) -> None:
        """Count what was added; beyond the budget, see what is there and remove the least recently used."""
        self._used = added + (self._used if self._used is not None else self._budget)
        if self._used <= self._budget:
            return
        sizes, last_used = self._entries()
        self._used = sum(sizes.values())
        if self._used <= self._budget:
            return
        for key in sorted(last_used, key=last_used.__getitem__):
            if self._used <= ROOM_AFTER_EVICTION * self._budget:
                break
            self.drop(key)
            self._used -= sizes[key]

    def _entries(self) -> tuple[dict[str, int], dict[str, float]]:
        """Bytes and last use of every entry in the folder, whoever wrote it."""
        sizes: dict[str, int] = {}
        last_used: dict[str, float] = {}
        with os.scandir(self._folder) as files:
            for file in files:
                key, suffix = os.path.splitext(file.name)
                try:
                    status = file.stat()
                    if suffix == ".half" and status.st_mtime < time.time() - STALE_SECONDS:
                        os.unlink(file.path)
                except FileNotFoundError:
                    continue
                if suffix in (STATE, RECORD):
                    sizes[key] = sizes.get(key, 0) + status.st_size
                    last_used[key] = max(last_used.get(key, 0.0), status.st_mtime)
        return {key: max(size, SMALLEST_CHARGE) for key, size in sizes.items()}, last_used
