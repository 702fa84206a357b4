"""The spool: what was measured while the service was away, on disk until the service has it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import platformdirs

from ..errors import LrsearchError
from ..frozen import Frozen, Natural
from ..study import Point, Result

log = logging.getLogger("lrsearch.external")

SYNC_SECONDS = 1.0
"""Points are forced to the disk itself at most so often; until then the operating system keeps them."""


class Holder(Frozen):
    """Who held the attempt that a file is about: the first line of the file."""

    worker: str
    trial: int
    attempt: int
    lease: str
    host: str
    pid: Natural

    @property
    def gone(self) -> bool:
        """Whether it was a process of this machine that is no more."""
        if self.host != socket.gethostname() or os.name != "posix":
            return False
        try:
            os.kill(self.pid, 0)  # asks, sends nothing
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False


class _Line(Frozen):
    point: Point | None = None
    result: Result | None = None


class Kept(Frozen):
    """What a file holds."""

    holder: Holder
    points: tuple[Point, ...]
    result: Result | None


class SpoolFile:
    """The file of one attempt, made when something must be kept; JSON lines, only ever appended to.

    A disk that cannot be written costs a warning, never a training: what it would hold is in memory too.
    """

    def __init__(self, path: Path, holder: Holder) -> None:
        self.path = path
        self._holder = holder
        self._file: int | None = None
        self._failed = False
        self._synced_at = 0.0

    def keep(self, points: Sequence[Point], result: Result | None) -> None:
        """Append; a result is on the disk itself when this returns."""
        lines = [_Line(point=point).model_dump_json(exclude_unset=True) for point in points]
        if result is not None:
            lines.append(_Line(result=result).model_dump_json(exclude_unset=True))
        if self._failed or not lines:
            return
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                lines.insert(0, self._holder.model_dump_json())
            rest = "".join(f"{line}\n" for line in lines).encode()
            while rest:  # a disk that is nearly full takes a part, and refuses the next
                rest = rest[os.write(self._file, rest) :]
            if result is not None or time.monotonic() - self._synced_at > SYNC_SECONDS:
                os.fsync(self._file)
                self._synced_at = time.monotonic()
        except OSError as error:
            self._failed = True
            log.warning("what is measured cannot be kept in %s (%s); it is kept in memory", self.path, error)

    @property
    def holds_something(self) -> bool:
        """Whether the file is there and whole."""
        return self._file is not None and not self._failed

    def close(self, *, delete: bool) -> None:
        """Close it; ``delete`` it where nobody needs it any more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            if delete:
                self.path.unlink(missing_ok=True)


class Spool:
    """The files of one study of one service, in a folder of their own.

    Args:
        folder: where all spools are; None = ``LRSEARCH_SPOOL``, else in the user's cache folder.
        server: the service's address.
        study: the study's name.
    """

    def __init__(self, folder: str | Path | None, server: str, study: str) -> None:
        chosen = folder or os.environ.get("LRSEARCH_SPOOL")
        root = Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("lrsearch") / "spool"
        mark = hashlib.sha256(f"{server}\n{study}".encode()).hexdigest()[:12]
        self.study = study
        self.folder = root / f"{study}-{mark}"

    def file(self, worker: str, trial: int, attempt: int, lease: str) -> SpoolFile:
        """The file of an attempt that this process holds; nothing is written yet."""
        holder = Holder(
            worker=worker, trial=trial, attempt=attempt, lease=lease, host=socket.gethostname(), pid=os.getpid()
        )
        return SpoolFile(self.folder / f"{trial}-{attempt}-{lease[:12]}.jsonl", holder)

    def left(self, worker: str) -> Iterator[tuple[Path, Kept]]:
        """What an earlier process of this name left, or any that has gone from this machine, by trial and attempt."""
        found = []
        for path in self.folder.glob("*.jsonl"):
            kept = read(path)
            if kept is None:
                log.warning("%s is no spool that can be read; it is left alone", path)
            elif kept.holder.worker == worker or kept.holder.gone:
                found.append((path, kept))
        yield from sorted(found, key=lambda item: (item[1].holder.trial, item[1].holder.attempt))


def read(path: Path) -> Kept | None:
    """What a file holds, without a last line that was not written to its end; None where it has no beginning."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
        holder, rest = Holder.model_validate_json(lines[0]), lines[1:]
    except (OSError, ValueError, IndexError, LrsearchError):
        return None
    points: list[Point] = []
    result = None
    for text in rest:
        try:
            line = _Line.read(json.loads(text))
        except (ValueError, LrsearchError):
            break
        points += [] if line.point is None else [line.point]
        result = line.result
    return Kept(holder=holder, points=tuple(points), result=result)
