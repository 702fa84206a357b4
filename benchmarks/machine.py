"""What was measured, on what, and where the figures are kept."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def describe(*packages: str) -> dict[str, Any]:
    """The processor, the cores, the load, and the versions of Python and ``packages``."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def spread(milliseconds: Sequence[float]) -> dict[str, float]:
    """Mean, median, 95th and 99th percentile and maximum, rounded to a hundredth."""
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    told = {
        "mean": statistics.fmean(milliseconds),
        "median": cuts[49],
        "p95": cuts[94],
        "p99": cuts[98],
        "max": max(milliseconds),
    }
    return {name: round(value, 2) for name, value in told.items()}


def record(benchmark: str, machine: Mapping[str, Any], figures: Mapping[str, Any]) -> Path:
    """Append one line to the benchmark's file and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{benchmark}.jsonl"
    line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, **figures}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, allow_nan=False) + "\n")
    return path
