"""What this machine has to train on, and how it is dealt out to worker processes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

ONE_THREAD = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""What numerical libraries read; several single-threaded workers beat one with many threads, and repeat their bits."""


def n_cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """The CUDA devices that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; found without torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device.strip() for device in visible.split(",") if device.strip() not in ("", "-1")]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number, line in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]


def default_workers() -> int:
    """One worker a GPU, else one a processor."""
    return len(gpus()) or n_cores()


def deal(n_workers: int, devices: Sequence[str]) -> list[dict[str, str]]:
    """Environment variables for every worker: one thread each, and a GPU in turn where there are some."""
    threads = dict.fromkeys(ONE_THREAD, "1")
    return [
        threads | ({"CUDA_VISIBLE_DEVICES": devices[number % len(devices)]} if devices else {})
        for number in range(n_workers)
    ]
