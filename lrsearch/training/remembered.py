"""What was measured of this machine, kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import platformdirs
from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

Kept = TypeVar("Kept")

LOCK_SECONDS = 60.0
"""How long somebody else's measuring is waited for."""


class Remembered(Generic[Kept]):
    """A value of one key in a JSON file; what cannot be read was never there, what cannot be written is not kept.

    Args:
        key: what the value depends on, apart from the machine.
        kind: its type, one that pydantic knows.
    """

    def __init__(self, key: str, kind: type[Kept]) -> None:
        machine = f"{platform.node()} {platform.processor()} {platform.machine()} {os.cpu_count()}"
        name = hashlib.blake2b(f"{machine} {key}".encode(), digest_size=16).hexdigest()
        self._path = folder() / f"{name}.json"
        self._lock = FileLock(folder() / "measuring.lock")
        self._adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def read(self) -> Kept | None:
        """The value; None where there is none."""
        try:
            value: Kept = self._adapter.validate_json(self._path.read_bytes(), strict=True)
        except (OSError, ValidationError):
            return None
        return value

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Within the block nobody else measures on this machine; where no lock can be kept, others may."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError, Timeout):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(self._lock.acquire(timeout=LOCK_SECONDS))
            yield

    def write(self, value: Kept) -> None:
        """Keep a value, whole or not at all."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent)
            with open(handle, "wb") as file:
                file.write(self._adapter.dump_json(value))
            os.replace(name, self._path)


def folder() -> Path:
    """``LRSEARCH_CALIBRATION``, else ``calibration`` in the user's cache folder of lrsearch."""
    chosen = os.environ.get("LRSEARCH_CALIBRATION")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("lrsearch") / "calibration"
