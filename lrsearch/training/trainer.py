"""The trainer: an assignment in, points out, a result at its end."""

from __future__ import annotations

import json
import logging
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..errors import LrsearchError
from ..study import Assignment, Divergence, Point, Result, TrainSpec
from ..tasks.task import Task
from ..trajectory import first_key, updates_per_epoch_of
from .plan import Plan, store_key
from .prefixes import PrefixStore
from .program import EpochRecord, program_class
from .seed_run import SeedRun
from .workload import Workload

MAX_WORKLOADS = 4
"""Tasks with their options whose data stay in memory; the least recently used makes room."""
MAX_ERROR_CHARACTERS = 1000
logger = logging.getLogger(__name__)

Emit = Callable[[Point], None]
Stop = Callable[[], bool]


class TrainingFailed(Exception):
    """The recipe or the task's own code cannot be trained; the message is what the trial shows."""


class Trainer:
    """Trains trials of the tasks it is given, sharing data and stored prefixes between them.

    Args:
        tasks: every task by name.
        prefixes: where states are found and left.
        device: ``"cpu"``, ``"cuda:1"``, ...; None = the best one here.
    """

    def __init__(self, tasks: Mapping[str, type[Task]], prefixes: PrefixStore, device: str | None = None) -> None:
        self._tasks = tasks
        self._prefixes = prefixes
        self._device = device
        self._workloads: OrderedDict[str, Workload] = OrderedDict()

    def train(self, assignment: Assignment, emit: Emit, stop: Stop) -> Result | None:
        """Train one trial from where it stands.

        Args:
            assignment: the trial.
            emit: called with every epoch of every seed: those trained here, and those taken from a stored prefix
                (``shared``) that were not reported before. Epoch by epoch, all seeds before the next epoch; of a
                ``test`` only the last epoch, with the ``test_*`` metrics.
            stop: asked before every epoch of every seed.

        Returns:
            How the trial ended: completed, diverged or failed; None if ``stop`` said so. What ``emit`` and ``stop``
            raise is passed on.
        """
        try:
            with user_errors():
                plan, runs = self._begin(assignment)
            n_epochs = min(assignment.until_epoch, plan.n_epochs)
            for epoch in range(1, n_epochs + 1):
                for seed, run in runs.items():
                    if stop():
                        self._keep(runs)
                        return None
                    with user_errors():
                        record, shared = run.epoch(epoch)
                    if assignment.purpose != "test" and (not shared or epoch > assignment.reported):
                        emit(self._point(plan, record, seed, shared=shared))
                    if record.divergence is not None:
                        self._keep(runs)
                        update, rate = record.divergence
                        return Result(state="diverged", diverged_at=Divergence(update=update, lr=rate))
            self._keep(runs)
            if assignment.purpose == "test":
                for seed, run in runs.items():
                    with user_errors():
                        last = self._tested(run)
                    emit(self._point(plan, last, seed, shared=run.restored))
        except TrainingFailed as failure:
            return Result(state="failed", error=str(failure))
        return Result(state="completed")

    def _begin(self, assignment: Assignment) -> tuple[Plan, dict[int, SeedRun]]:
        recipe = dict(assignment.recipe)
        name, options = recipe.pop("task", None), recipe.pop("options", {})
        if name not in self._tasks:
            raise TrainingFailed(f"this worker has no task `{name}`; it has: {', '.join(self._tasks)}")
        train = TrainSpec.read(recipe)
        if train.optimizer is None or train.batch_size is None:
            raise TrainingFailed("a recipe names its optimizer and its batch_size")
        workload = self._workload(self._tasks[str(name)], options)
        plan = Plan(assignment.schedule, updates_per_epoch_of(workload.n_train, train.batch_size))
        kind = program_class(workload.task)
        numerics = kind.numerics(self._device)
        n_epochs = min(assignment.until_epoch, plan.n_epochs)
        runs = {}
        for seed in assignment.seeds:
            start = store_key(first_key(assignment.recipe, seed), workload.fingerprint(seed), numerics)

            def build(seed: int = seed) -> Any:
                return kind(workload, train, seed, self._device)

            runs[seed] = SeedRun(plan, start, n_epochs, self._prefixes, build)
        return plan, runs

    def _workload(self, task: type[Task], options: Any) -> Workload:
        key = f"{task.name} {id(task)} {json.dumps(options, sort_keys=True)}"
        if key not in self._workloads:
            while len(self._workloads) >= MAX_WORKLOADS:
                self._workloads.popitem(last=False)
            self._workloads[key] = Workload(task, options)
        self._workloads.move_to_end(key)
        return self._workloads[key]

    @staticmethod
    def _keep(runs: Mapping[int, SeedRun]) -> None:
        for run in runs.values():
            with user_errors():
                run.keep()

    @staticmethod
    def _tested(run: SeedRun) -> EpochRecord:
        """The last epoch's record with the ``test_*`` metrics."""
        last = run.records[-1]
        metrics = {**last.metrics, **run.program().test(0)}
        return EpochRecord(last.epoch, last.lr_first, last.lr_last, last.seconds, metrics, last.divergence)

    @staticmethod
    def _point(plan: Plan, record: EpochRecord, seed: int, *, shared: bool) -> Point:
        in_epochs = plan.schedule.epochs is not None
        return Point(
            epoch=record.epoch if in_epochs else None,
            update=None if in_epochs else plan.bounds(record.epoch)[1],
            seed=seed,
            shared=shared,
            lr_first=record.lr_first,
            lr_last=record.lr_last,
            seconds=record.seconds,
            metrics=dict(record.metrics),
        )


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what a recipe or a task's own code raises into TrainingFailed, with the place where it happened."""
    try:
        yield
    except TrainingFailed:
        raise
    except Exception as error:
        logger.warning("a trial failed", exc_info=True)
        raise TrainingFailed(short_text(error)) from error


def short_text(error: Exception) -> str:
    """An error in one short printable line."""
    text = str(error)
    if not isinstance(error, LrsearchError):
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {text} ({place.filename.rpartition('/')[2]}, line {place.lineno})"
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= MAX_ERROR_CHARACTERS else f"{printable[: MAX_ERROR_CHARACTERS - 3]}..."
