"""Where prefixes lie by key: in memory, or in a folder that several processes share."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .folder import Folder
from .seal import Sealed

STATE, RECORD = ".safetensors", ".json"
BY, PIN = "@", ".pin"
"""An entry is pinned by a file named for its key and its owner."""
SMALLEST_CHARGE = 64 * 1024
"""An entry in a folder counts as at least this many bytes, so that a budget also bounds the number of files."""
FULL, ROOMY = 0.9, 0.8
"""Shares of the budget: above the first, entries go until the second is reached. What is left is for what others
write at the same time."""
SOONEST_SECONDS, LISTING_SHARE = 1.0, 0.05
"""A folder is listed again after a second, or later where listing would take more than this share of the time."""
TOUCH_SECONDS = 10.0
"""That an entry is useful is written down at most this often."""
logger = logging.getLogger(__name__)


class Shelf(Protocol):
    """Entries are written once and never change; those least recently useful make room."""

    def __contains__(self, key: str) -> bool: ...

    def last(self, keys: Sequence[str], end: int) -> int:
        """The largest n < ``end`` with ``keys[n]`` here; 0 if there is none above."""

    def get(self, key: str) -> Sealed | None:
        """The prefix of ``key``; None where any of it is missing. Counts as useful."""

    def put(self, key: str, prefix: Sealed) -> None:
        """Keep an entry; an earlier one of that key stays as it is."""

    def drop(self, key: str) -> None:
        """Forget an entry that turned out to be damaged."""

    def need(self, keys: Iterable[str]) -> None:
        """Those that are here will be wanted again: they are useful now."""

    def pin(self, owner: str, keys: Collection[str]) -> None:
        """Those make no room, until the owner names others."""


class MemoryShelf:
    """Entries of this process alone."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._entries: OrderedDict[str, tuple[Sealed, int]] = OrderedDict()
        self._pins: dict[str, frozenset[str]] = {}
        self._used = 0

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def last(self, keys: Sequence[str], end: int) -> int:
        """As ``Shelf.last``."""
        return next((n for n in range(end - 1, 0, -1) if keys[n] in self._entries), 0)

    def get(self, key: str) -> Sealed | None:
        """As ``Shelf.get``."""
        self.need((key,))
        return self._entries[key][0] if key in self._entries else None

    def put(self, key: str, prefix: Sealed) -> None:
        """As ``Shelf.put``."""
        charge = prefix.n_bytes
        if key in self._entries or charge > self._budget:
            return
        self._entries[key] = (prefix, charge)
        self._used += charge
        pinned = set().union(*self._pins.values())
        while self._used > self._budget:
            oldest = next((old for old in self._entries if old not in pinned), None)
            if oldest is None:
                break
            self.drop(oldest)

    def drop(self, key: str) -> None:
        """As ``Shelf.drop``."""
        _, charge = self._entries.pop(key, (None, 0))
        self._used -= charge

    def need(self, keys: Iterable[str]) -> None:
        """As ``Shelf.need``."""
        for key in keys:
            if key in self._entries:
                self._entries.move_to_end(key)

    def pin(self, owner: str, keys: Collection[str]) -> None:
        """As ``Shelf.pin``."""
        self._pins[owner] = frozenset(keys)


@dataclass(slots=True)
class _Entry:
    """What is known of an entry: the bytes it counts as, whether it has a record, when it was last useful."""

    charge: int = 0
    whole: bool = False
    useful_at: float = 0.0
    told_at: float = 0.0


class FolderShelf:
    """Two files an entry, the record last: it makes the entry whole.

    What is there is known from a listing, a little out of date: an entry of another process may be missed for a moment,
    which costs training time and no more. Nothing here raises for what happens to the files either.
    """

    def __init__(self, folder: Folder, budget_bytes: int) -> None:
        self._folder = folder
        self._budget = budget_bytes
        self._entries: dict[str, _Entry] = {}
        self._pinned: set[str] = set()
        self._used = self._unlisted = 0
        self._list_at = 0.0
        self._warned = False

    def __contains__(self, key: str) -> bool:
        return self.last(("", key), 2) == 1

    def last(self, keys: Sequence[str], end: int) -> int:
        """As ``Shelf.last``."""
        if time.monotonic() >= self._list_at:
            self._list()
        for n in range(end - 1, 0, -1):
            entry = self._entries.get(keys[n])
            if entry is not None and entry.whole:
                return n
        return 0

    def get(self, key: str) -> Sealed | None:
        """As ``Shelf.get``."""
        try:
            record = self._folder.read(f"{key}{RECORD}")
        except OSError:
            return None
        try:
            state = self._folder.read(f"{key}{STATE}")
        except FileNotFoundError:
            self.drop(key)
            return None
        except OSError:
            return None
        self.need((key,))
        return Sealed(state, record)

    def put(self, key: str, prefix: Sealed) -> None:
        """As ``Shelf.put``."""
        charge = max(len(prefix.state) + len(prefix.record), SMALLEST_CHARGE)
        if key in self or charge > ROOMY * self._budget:
            return
        try:
            self._folder.write(f"{key}{STATE}", prefix.state)
            self._folder.write(f"{key}{RECORD}", prefix.record)
        except OSError as error:
            self._warn("stored", error)
            return
        now = time.time()
        old = self._entries.get(key, _Entry())
        self._entries[key] = _Entry(charge, whole=True, useful_at=now, told_at=0.0)
        self._used += charge - old.charge
        self._unlisted += charge
        self._make_room()

    def drop(self, key: str) -> None:
        """As ``Shelf.drop``: the record first, so that no half entry is ever whole."""
        self._used -= self._entries.pop(key, _Entry()).charge
        for suffix in (RECORD, STATE):
            try:
                self._folder.remove(f"{key}{suffix}")
            except OSError as error:
                logger.debug("cannot remove %s%s: %s", key, suffix, error)

    def need(self, keys: Iterable[str]) -> None:
        """As ``Shelf.need``."""
        now = time.time()
        to_tell = []
        for key in keys:
            entry = self._entries.get(key)
            if entry is not None:
                entry.useful_at = now
                if not 0 <= now - entry.told_at < TOUCH_SECONDS:
                    entry.told_at = now
                    to_tell.append(f"{key}{RECORD}")
        if to_tell:
            try:
                self._folder.touch(to_tell)
            except OSError as error:
                logger.debug("cannot touch files in %s: %s", self._folder, error)

    def _list(self) -> None:
        """See what is there, whoever wrote it."""
        began = time.monotonic()
        try:
            files = self._folder.files()
        except OSError as error:
            self._warn("listed", error)
            files = {}
        entries: dict[str, _Entry] = {}
        self._pinned = {name.partition(BY)[0] for name in files if name.endswith(PIN)}
        for name, file in files.items():
            key, dot, suffix = name.rpartition(".")
            if f"{dot}{suffix}" in (STATE, RECORD):
                entry = entries.setdefault(key, _Entry())
                entry.charge += file.n_bytes
                entry.whole |= f"{dot}{suffix}" == RECORD
                entry.useful_at = max(entry.useful_at, file.useful_at)
        for key, entry in entries.items():
            entry.charge = max(entry.charge, SMALLEST_CHARGE)
            if known := self._entries.get(key):
                entry.useful_at = max(entry.useful_at, known.useful_at)
                entry.told_at = known.told_at
        self._entries = entries
        self._used, self._unlisted = sum(entry.charge for entry in entries.values()), 0
        ended = time.monotonic()
        self._list_at = ended + max(SOONEST_SECONDS, (ended - began) / LISTING_SHARE)

    def _make_room(self) -> None:
        """Beyond the budget, remove the least recently useful. Others write too: the nearer, the more often look."""
        spare = FULL * self._budget - self._used
        if self._unlisted > max(spare, self._budget / 32) / 4:
            self._list()
        if self._used <= FULL * self._budget:
            return
        for key in sorted(self._entries, key=lambda key: self._entries[key].useful_at):
            if self._used <= ROOMY * self._budget:
                break
            if key not in self._pinned:
                self.drop(key)

    def pin(self, owner: str, keys: Collection[str]) -> None:
        """As ``Shelf.pin``: an empty file an entry and owner, for every process to see."""
        end = f"{BY}{owner}{PIN}"
        wanted = {f"{key}{end}" for key in keys}
        try:
            present = {name for name in self._folder.files() if name.endswith(end)}
            for name in wanted - present:
                self._folder.write(name, b"")
            for name in present - wanted:
                self._folder.remove(name)
        except OSError as error:
            self._warn("pinned", error)
        self._list()

    def _warn(self, what: str, error: OSError) -> None:
        if not self._warned:
            logger.warning("prefixes cannot be %s in %s: %s; training goes on", what, self._folder, error)
        self._warned = True


class FrontedShelf:
    """A shelf with some memory before it: what this process just kept or fetched is there without a disk."""

    def __init__(self, back: Shelf, front_bytes: int) -> None:
        self._front = MemoryShelf(front_bytes)
        self._back = back

    def __contains__(self, key: str) -> bool:
        return key in self._front or key in self._back

    def last(self, keys: Sequence[str], end: int) -> int:
        """As ``Shelf.last``."""
        return max(self._front.last(keys, end), self._back.last(keys, end))

    def get(self, key: str) -> Sealed | None:
        """As ``Shelf.get``."""
        found = self._front.get(key)
        if found is not None:
            self._back.need((key,))
            return found
        found = self._back.get(key)
        if found is not None:
            self._front.put(key, found)
        return found

    def put(self, key: str, prefix: Sealed) -> None:
        """As ``Shelf.put``."""
        self._front.put(key, prefix)
        self._back.put(key, prefix)

    def drop(self, key: str) -> None:
        """As ``Shelf.drop``."""
        self._front.drop(key)
        self._back.drop(key)

    def need(self, keys: Iterable[str]) -> None:
        """As ``Shelf.need``."""
        wanted = tuple(keys)
        self._front.need(wanted)
        self._back.need(wanted)

    def pin(self, owner: str, keys: Collection[str]) -> None:
        """As ``Shelf.pin``."""
        self._back.pin(owner, keys)
