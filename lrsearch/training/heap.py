"""The heap of a process that trains for long."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Return freed memory to the system, where the C library is one that keeps it (glibc's ``malloc_trim``).

    Programs come and go with blocks of all sizes; what lies between them stays with the process otherwise, and a
    study of thousands of trials would grow it by a fifth of a megabyte a trial.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
