"""What may change the last bits of a training, as text: part of every key that opens a checkpoint."""

from __future__ import annotations

import platform

import numpy as np

from . import mkl

TORCH_PROGRAM = "lone 5"
"""Raise the number when a change to the torch program changes bits, or what was stored of it may be wrong."""
FUSED_PROGRAM = "fused 5"
"""The same of the fused program."""
IN_TURN_PROGRAM = "in turn 1"
"""The same of the program whose lanes take turns."""
CONVOLUTIONS_BY_PRODUCTS = "convolutions by products 1"
"""The same of ``lane_convolution``."""
LEAST_SQUARES_PROGRAM = "recursion 2"
"""The same of the least-squares program."""
THREADS = 1
"""Threads a program on the processor: another number would sum in another order."""


def torch_numerics(device: str, program: str) -> str:
    """The numerics of ``program``, as its name above and what it adds, on ``device``."""
    import torch

    kind = device.partition(":")[0]
    if kind == "cuda":
        name = torch.cuda.get_device_name(device)
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # torch types it not
        where = f"{name}, cuda {torch.version.cuda}, cudnn {cudnn}"
    elif kind == "cpu":
        capability = torch.backends.cpu.get_cpu_capability()
        where = f"{platform.machine()} {capability}, products {mkl.mode()}, threads {THREADS}"
    else:
        where = platform.machine()
    return f"torch {torch.__version__}; {kind} {where}; {program}"


def numpy_numerics() -> str:
    """The numerics of the numpy programs."""
    return f"numpy {np.__version__}; {platform.machine()}; {LEAST_SQUARES_PROGRAM}"
