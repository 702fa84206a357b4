"""A disk of a few megabytes that can be filled: real file system, real ENOSPC."""

from __future__ import annotations

import contextlib
import errno
import subprocess
import tempfile
from pathlib import Path
from typing import Self

SIZE = 48 << 20
CHUNK = bytes(1 << 16)


class Unmountable(Exception):
    """Nothing may be mounted here."""


class SmallDisk:
    """A tmpfs, mounted from the beginning of a ``with`` block to its end.

    Attributes:
        folder: where it is.
    """

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="lrsearch-disk-", dir="/tmp"))
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "lrsearch-test", str(self.folder)]
        try:
            mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            mounted = subprocess.CompletedProcess(command, 1, stderr="no program `mount`")
        if mounted.returncode != 0:
            self.folder.rmdir()
            raise Unmountable(f"a small disk needs the right to mount a tmpfs: {mounted.stderr.strip()}")
        return self

    def __exit__(self, *_: object) -> None:
        # a server may hold files open that are gone: then it is unmounted once they are closed
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        self.folder.rmdir()

    def fill(self) -> None:
        """Take all the room there is."""
        with (self.folder / "ballast").open("ab", buffering=0) as ballast:
            try:
                while ballast.write(CHUNK) == len(CHUNK):
                    pass
                while ballast.write(b"\0"):  # what is left of the last page
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def empty(self) -> None:
        """Give it back."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "ballast").unlink()
