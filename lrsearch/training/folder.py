"""A flat folder of files that several processes share: what a shelf needs of a disk or an object store."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

HALF = ".half"
STALE_SECONDS = 3600.0
"""Half-written files older than this were left by a process that is gone."""


class File(NamedTuple):
    """A file of a folder.

    Attributes:
        n_bytes: its size.
        useful_at: when it was written or last said to be useful, in seconds since 1970.
    """

    n_bytes: int
    useful_at: float


class Folder(Protocol):
    """Files by name. Every method raises OSError where it cannot do what it says, and nothing else."""

    def files(self) -> Mapping[str, File]:
        """Every whole file; none where the folder does not exist."""

    def read(self, name: str) -> bytes:
        """A file's content."""

    def write(self, name: str, content: bytes) -> None:
        """Make a file, and the folder where it is missing."""

    def remove(self, name: str) -> None:
        """Remove a file; one that is missing is removed already."""

    def touch(self, names: Iterable[str]) -> None:
        """Say that files are useful now, for every process to see."""


class LocalFolder:
    """A folder on a disk. Files are written under another name first, so that they are whole or absent.

    Nothing is forced to the disk: whoever reads checks a hash, and what a crash of the machine loses is trained again.
    A file's time of modification is when it was last useful.
    """

    def __init__(self, path: Path) -> None:
        self._path = os.fspath(path)

    def __str__(self) -> str:
        return self._path

    def files(self) -> dict[str, File]:
        """As ``Folder.files``; removes half-written files whose writer is gone."""
        found: dict[str, File] = {}
        stale = time.time() - STALE_SECONDS
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat()
                        if not entry.name.endswith(HALF):
                            found[entry.name] = File(status.st_size, status.st_mtime)
                        elif status.st_mtime < stale:
                            os.unlink(entry.path)
        except FileNotFoundError:
            return {}
        return found

    def read(self, name: str) -> bytes:
        """As ``Folder.read``."""
        with open(f"{self._path}/{name}", "rb", buffering=0) as file:
            return file.read()

    def write(self, name: str, content: bytes) -> None:
        """As ``Folder.write``."""
        half = f"{self._path}/.{name}.{secrets.token_hex(4)}{HALF}"
        try:
            try:
                _fill(half, content)
            except FileNotFoundError:
                os.makedirs(self._path, exist_ok=True)
                _fill(half, content)
            os.replace(half, f"{self._path}/{name}")
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(half)
            raise

    def remove(self, name: str) -> None:
        """As ``Folder.remove``."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._path}/{name}")

    def touch(self, names: Iterable[str]) -> None:
        """As ``Folder.touch``."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.utime(f"{self._path}/{name}")


def _fill(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
