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
    """Ask for products that do not depend on where factors lie, unless the environment asks for something itself."""
    os.environ.setdefault(VARIABLE, WANTED)


@cache
def mode() -> str:
    """What is in force in this process, as MKL's own number; elsewhere than in torch's wheels as it was asked for."""
    import torch

    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return f"{library.mkl_serv_cbwr_get(-1):#x}"
    except (OSError, AttributeError):
        return os.environ.get(VARIABLE, "")


def strict() -> bool:
    """Whether products do not depend on where factors lie, as far as MKL tells."""
    found = mode()
    return bool(int(found, 16) & STRICT) if found.startswith("0x") else found == WANTED
