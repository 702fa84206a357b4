"""Groups: what the runs of one recipe and training seed have in common."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from ..study import Assignment, Checkpoint, TrainSpec
from ..tasks.task import Task
from ..trajectory import first_key, updates_per_epoch_of
from .calibration import calibrated
from .checkpoint import outline
from .failures import TrainingFailed
from .phase import Phase
from .plan import store_key
from .program import Program
from .workload import Workload

MAX_WORKLOADS = 4
"""Tasks with their options whose data stay in memory; the least recently used makes room."""


class Group:
    """One recipe and training seed: runs of it may be lanes of one program, and share every batch and mask.

    Args:
        workload: the task and its data.
        train: the recipe.
        recipe: the recipe as it was handed out; begins the keys.
        seed: the training seed.
        device: as a program's.

    Attributes:
        lanes: the most lanes of one program; halved when the device's memory does not hold as many.
        update_seconds: what one update of the plain loop takes here; None = not measured.
        note: what people should know of how it trains here; None = nothing.
        start: ``store_key(0)`` of its trajectories.
        updates_per_epoch: U.
    """

    def __init__(
        self, workload: Workload, train: TrainSpec, recipe: Mapping[str, Any], seed: int, device: str | None
    ) -> None:
        assert train.batch_size is not None
        choice = calibrated(workload, train, seed, device)
        fingerprint = workload.prepared(("fingerprint", seed), lambda: workload.fingerprint(seed))
        self._given = (workload, train, seed, device)
        self._kind = choice.program
        self.lanes = choice.lanes
        self.update_seconds = choice.update_seconds
        self.note = None if choice.note is None else f"task {workload.task.name} {choice.note}"
        self.start = store_key(first_key(recipe, seed), fingerprint, choice.program.numerics(device))
        self.updates_per_epoch = updates_per_epoch_of(workload.n_train, train.batch_size)

    @property
    def outline(self) -> Checkpoint | None:
        """As ``checkpoint.outline``."""
        return outline(self._given[0])

    def program(self, phase: Phase) -> Program:
        """A new program with one lane, at its initial weights, whose optimiser is that of ``phase``."""
        workload, train, seed, device = self._given
        return self._kind(workload, phase.recipe(train), seed, device)


class Groups:
    """The groups in use, and the data of the tasks used last.

    Args:
        tasks: every task by name.
        device: as a program's.
        lanes: the most lanes of one program; None = as many as is fastest.
    """

    def __init__(self, tasks: Mapping[str, type[Task]], device: str | None, lanes: int | None) -> None:
        self._tasks = tasks
        self._device = device
        self._lanes = lanes
        self._groups: WeakValueDictionary[str, Group] = WeakValueDictionary()
        self._workloads: OrderedDict[str, Workload] = OrderedDict()

    def of(self, assignment: Assignment) -> dict[int, Group]:
        """The group of each of an assignment's seeds.

        Raises:
            TrainingFailed: this worker has no such task, or the recipe is not whole.
            Exception: whatever the task's own code raises.
        """
        workload, train = self.setting(assignment)
        written = f"{id(type(workload.task))} {json.dumps(assignment.recipe, sort_keys=True)}"
        groups = {}
        for seed in assignment.seeds:
            group = self._groups.get(f"{written} {seed}")
            if group is None:
                group = Group(workload, train, assignment.recipe, seed, self._device)
                group.lanes = min(group.lanes, self._lanes or group.lanes)
                self._groups[f"{written} {seed}"] = group
            groups[seed] = group
        return groups

    def setting(self, assignment: Assignment) -> tuple[Workload, TrainSpec]:
        """An assignment's task with its data, and the rest of its recipe; raises as ``of``."""
        recipe = dict(assignment.recipe)
        name, options = recipe.pop("task", None), recipe.pop("options", {})
        if name not in self._tasks:
            raise TrainingFailed(f"this worker has no task `{name}`; it has: {', '.join(self._tasks)}")
        train = TrainSpec.read(recipe)
        if train.optimizer is None or train.batch_size is None:
            raise TrainingFailed("a recipe names its optimizer and its batch_size")
        return self._workload(self._tasks[str(name)], options), train

    def _workload(self, task: type[Task], options: Any) -> Workload:
        key = f"{task.name} {id(task)} {json.dumps(options, sort_keys=True)}"
        if key not in self._workloads:
            while len(self._workloads) >= MAX_WORKLOADS:
                self._workloads.popitem(last=False)
            self._workloads[key] = Workload(task, options)
        self._workloads.move_to_end(key)
        return self._workloads[key]
