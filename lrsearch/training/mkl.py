"""How Intel's MKL, which torch multiplies matrices with, rounds: alike wherever they lie in memory, if it is told to.

On processors with AVX-512 the last bits of some products (few columns, the second factor transposed) depend on whether
the first factor begins at a multiple of 16 bytes. Lanes of a program lie one behind the other, so a lane's bits would
depend on its place. MKL's mode of conditional numerical reproducibility ends that, and was no slower where it was
measured. MKL reads the environment once, before its first product.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

VARIABLE, WANTED = "MKL_CBWR", "AUTO,STRICT"
STRICT = 0x10000
"""MKL_CBWR_STRICT, of MKL's own numbers."""


def repeat() -> None:
    """Ask for products that do not depend on where factors lie, unless the environment asks for something itself.

    It is asked for in this process's environment, which the processes that it starts get, too.
    """
    os.environ.setdefault(VARIABLE, WANTED)


@cache
def mode() -> str:
    """What is in force in this process, as MKL's own number; "none" without MKL, "unknown" where it does not tell."""
    import torch

    if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]  # torch types it not
        return "none"
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return f"{library.mkl_serv_cbwr_get(-1):#x}"
    except (OSError, AttributeError):
        return "unknown"


def strict() -> bool:
    """Whether products do not depend on where factors lie, as MKL tells."""
    return mode().startswith("0x") and bool(int(mode(), 16) & STRICT)
