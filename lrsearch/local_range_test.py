"""A range test of a registered task in this process: nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .finder import read
from .in_process import TaskNames, load, require_known
from .resolve import complete_range_test
from .spec_file import read_range_test
from .study import RangeTestResult, RangeTestSpec


def task_range_test(
    spec: str | Path | Mapping[str, Any] | RangeTestSpec, *, tasks: TaskNames = (), device: str | None = None
) -> RangeTestResult:
    """Train a fresh model of a task with rising rates, and read from its losses which rates are good.

    Args:
        spec: a path, a shipped study's name, a mapping, or a spec; of a study, its task and recipe count.
        tasks: your own tasks, classes or ``"my.py:MyTask"``.
        device: ``"cpu"``, ``"cuda:1"``, ...; None = the best one here.

    Raises:
        InvalidInput: the spec breaks a law, or there is no such task.
    """
    from .training.task_range_test import sweep_task
    from .training.workload import Workload

    written, known = read_range_test(spec), load(tasks)
    require_known(written.task, known)
    kind = known[written.task]
    complete = complete_range_test(written, kind.offer())
    losses = sweep_task(Workload(kind, complete.options), complete.train, complete.train.seed, complete, device)
    return read(losses)
