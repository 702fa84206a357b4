"""The reference studies: exact grids of one recipe each, whole and cut, and their cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lrsearch.resolve import resolve, updates_per_epoch
from lrsearch.schedules import Schedule
from lrsearch.space import Space
from lrsearch.study import StudySpec, TrainSpec
from lrsearch.tasks.registry import load_tasks
from lrsearch.tasks.task import Task
from lrsearch.trajectory import count_epochs

TASKS = Path(__file__).with_name("tasks.py")
OWN = ("mnist-cut:MnistCut", "resnet-bn:ResnetBn")
STEP = {"family": "step", "decay_rate": [0.1, 0.3, 0.5, 0.7], "warmup": [0, 5, 10]}

STUDIES: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "mlp": {
            "task": "synthetic-mlp",
            "epochs": 100,
            "train": {"optimizer": "adam", "batch_size": 64},
            "space": STEP | {"initial_lr": [0.1, 0.03, 0.01, 0.003], "step_size": [10, 20, 30, 40]},
        },
        "mnist1d-cnn": {
            "task": "mnist1d-cnn",
            "epochs": 30,
            "train": {"optimizer": "adam", "batch_size": 100},
            "space": STEP
            | {"initial_lr": [0.03, 0.01, 0.003, 0.001], "step_size": [5, 10, 15, 20], "warmup": [0, 2, 5]},
        },
        "mnist-cnn": {
            "task": "mnist-cnn",
            "epochs": 10,
            "train": {"optimizer": "adam", "batch_size": 64},
            "space": {
                "family": "step",
                "initial_lr": [0.01, 0.003, 0.001, 0.0003],
                "decay_rate": [0.1, 0.5],
                "step_size": [3, 5, 7],
                "warmup": [0, 1],
            },
        },
        "resnet-bn": {
            "task": "resnet-bn",
            "epochs": 15,
            "train": {"optimizer": {"name": "sgd", "momentum": 0.9}, "batch_size": 128},
            "space": {
                "family": "step",
                "initial_lr": [0.3, 0.1, 0.03, 0.01],
                "decay_rate": [0.1, 0.3],
                "step_size": [4, 6, 8],
                "warmup": [0, 1],
            },
        },
    }
)
"""As ``docs`` and the README quote them; what a spec leaves out is lrsearch's default."""

QUICK: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "mlp": {"epochs": 30, "space": {"step_size": [3, 6, 9, 12], "warmup": [0, 2]}},
        "mnist1d-cnn": {"epochs": 6, "space": {"step_size": [2, 4], "decay_rate": [0.1, 0.5], "warmup": [0, 1]}},
        "mnist-cnn": {"task": "mnist-cut", "epochs": 4, "space": {"initial_lr": [0.003, 0.001], "step_size": [2, 3]}},
        "resnet-bn": {
            "epochs": 3,
            "space": {"initial_lr": [0.1], "decay_rate": [0.1, 0.3], "step_size": [1, 2], "warmup": [0]},
        },
    }
)
"""What a quick run changes."""


@dataclass(frozen=True)
class Reference:
    """One reference study.

    Attributes:
        name: as in ``STUDIES``.
        written: the spec as it is POSTed.
        quick: whether it is the cut.
    """

    name: str
    written: dict[str, Any]
    quick: bool

    @classmethod
    def named(cls, name: str, *, quick: bool) -> Reference:
        """The study, or its cut."""
        spec = STUDIES[name]
        if quick:
            cut = QUICK[name]
            spec = {**spec, **cut, "space": spec["space"] | cut.get("space", {})}
        return cls(name, {**spec, "name": name, "sampler": "grid"}, quick)

    def fresh(self) -> Reference:
        """The same with nothing worked out, to be sent to another process."""
        return Reference(self.name, self.written, self.quick)

    @cached_property
    def task(self) -> type[Task]:
        """What is trained."""
        return load_tasks(self.own_tasks)[self.written["task"]]

    @property
    def own_tasks(self) -> list[str]:
        """The benchmark's own tasks that it needs, as ``--task`` takes them."""
        return [
            f"{TASKS}:{kind}" for name, _, kind in (own.partition(":") for own in OWN) if name == self.written["task"]
        ]

    @cached_property
    def spec(self) -> StudySpec:
        """The spec with every default filled in."""
        return resolve(StudySpec.read(self.written), self.task.offer())

    @property
    def train(self) -> TrainSpec:
        """The recipe."""
        assert self.spec.train is not None
        return self.spec.train

    @cached_property
    def updates_per_epoch(self) -> int:
        """U."""
        updates = updates_per_epoch(self.spec, self.task.offer())
        assert updates is not None
        return updates

    @cached_property
    def cells(self) -> dict[str, Schedule]:
        """Every cell's schedule, by the text of its parameters."""
        space = Space(self.spec, self.updates_per_epoch)
        assert space.n_cells is not None
        every = [space.cell(index) for index in range(space.n_cells)]
        return {cell_name(params): space.schedule(params) for params in every}

    @cached_property
    def epochs(self) -> tuple[int, int]:
        """Epochs asked, and distinct."""
        return count_epochs(self.cells.values(), self.updates_per_epoch)


def cell_name(params: Mapping[str, Any]) -> str:
    """The parameters of a cell as text."""
    return " ".join(f"{name}={float(params[name]):g}" for name in sorted(params) if name != "family")
