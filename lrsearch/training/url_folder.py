"""A folder by URL: whatever fsspec reaches, for workers on several machines."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from ..errors import InvalidInput
from .folder import File

USEFUL = ".useful"
TELL_SECONDS = 10.0
"""What is useful is told to other processes at most this often."""
FORGOTTEN_SECONDS = 86_400.0
"""Notes of what was useful are removed when nothing newer is in them."""
TIMES = ("LastModified", "mtime", "updated", "last_modified", "modified", "created")
"""What the file systems of fsspec call the time when a file was written."""


class UrlFolder:
    """As ``folder.Folder``, on any file system of fsspec: ``s3://bucket/folder``, ``gs://...``, ``memory://...``.

    Object stores keep no time that could be set, so each process tells what is useful in a note of its own: one small
    file, rewritten now and then, that all of them read.
    """

    def __init__(self, url: str) -> None:
        """Find the file system; nothing is read or written yet.

        Raises:
            InvalidInput: fsspec, or what it needs for this kind of URL, is not installed, or it knows none such.
        """
        self._url = url
        try:
            from fsspec.core import url_to_fs  # type: ignore[import-untyped]  # it has no types

            self._files, root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise InvalidInput(
                f"prefixes lie in a folder or at a URL that fsspec can open (got {url!r:.200}): {error}; "
                "`pip install 'lrsearch[cluster]'` brings fsspec, most kinds of URL need one more package"
            ) from None
        self._root = str(root).rstrip("/")
        self._note = f"{secrets.token_hex(8)}{USEFUL}"
        self._useful: dict[str, float] = {}
        self._told_at = -TELL_SECONDS

    def __str__(self) -> str:
        return self._url

    def files(self) -> dict[str, File]:
        """As ``Folder.files``; removes notes that say nothing new."""
        found: dict[str, File] = {}
        with _as_os_error():
            self._files.invalidate_cache(self._root)
            try:
                listing = self._files.ls(self._root, detail=True)
            except FileNotFoundError:
                return {}
            for item in listing:
                name = str(item["name"]).rpartition("/")[2]
                found[name] = File(int(item.get("size") or 0), _written_at(item))
        for note in [name for name in found if name.endswith(USEFUL)]:
            del found[note]
            for name, useful_at in self._read_note(note).items():
                if name in found and useful_at > found[name].useful_at:
                    found[name] = found[name]._replace(useful_at=useful_at)
        self._useful = {name: useful_at for name, useful_at in self._useful.items() if name in found}
        return found

    def read(self, name: str) -> bytes:
        """As ``Folder.read``."""
        with _as_os_error():
            return bytes(self._files.cat_file(f"{self._root}/{name}"))

    def write(self, name: str, content: bytes) -> None:
        """As ``Folder.write``; where a file system writes in pieces, half a file may be seen."""
        path = f"{self._root}/{name}"
        with _as_os_error():
            try:
                self._files.pipe_file(path, content)
            except FileNotFoundError:
                self._files.makedirs(self._root, exist_ok=True)
                self._files.pipe_file(path, content)

    def remove(self, name: str) -> None:
        """As ``Folder.remove``."""
        with _as_os_error(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(f"{self._root}/{name}")

    def touch(self, names: Iterable[str]) -> None:
        """As ``Folder.touch``; others see it within ``TELL_SECONDS`` of the last time they were told."""
        now = time.time()
        self._useful.update(dict.fromkeys(names, now))
        if self._useful and time.monotonic() - self._told_at >= TELL_SECONDS:
            self.write(self._note, json.dumps(self._useful).encode())
            self._told_at = time.monotonic()

    def _read_note(self, note: str) -> dict[str, float]:
        """What a process said to be useful, and when; whatever cannot be read says nothing."""
        try:
            told = {str(name): float(moment) for name, moment in json.loads(self.read(note)).items()}
            if note != self._note and max(told.values(), default=0.0) < time.time() - FORGOTTEN_SECONDS:
                self.remove(note)
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
        return told


def _written_at(item: dict[str, Any]) -> float:
    """When a listed file was written, in seconds since 1970; 0 where the file system does not tell."""
    for name in TIMES:
        value = item.get(name)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    """Every file system has errors of its own."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
