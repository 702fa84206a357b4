"""A service on SQLite, workers of the real tasks, and a line between them that can be cut."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lrsearch.errors import Unavailable
from lrsearch.leasing import LeaseVerbs
from lrsearch.service import Service, Settings
from lrsearch.store import Store
from lrsearch.study import Lease, LeaseRequest, ReportAnswer, ReportRequest, StudySpec, Trial, read_spec
from lrsearch.tasks.registry import load_tasks, offers
from lrsearch.tasks.task import Task
from lrsearch.training.prefixes import PrefixStore
from lrsearch.training.trainer import Trainer
from lrsearch.worker import Worker


class CutLine:
    """The verbs of a service over a line that fails: requests that never arrive, and answers that get lost."""

    def __init__(self, verbs: LeaseVerbs, *, lost_requests: float, lost_answers: float, seed: int) -> None:
        self._verbs = verbs
        self._lost = (lost_requests, lost_answers)
        self._random = random.Random(seed)
        self.failures = 0

    def _call(self, verb: Callable[[], Any]) -> Any:
        before, after = (self._random.random() < share for share in self._lost)
        if before:
            self.failures += 1
            raise Unavailable("the request did not arrive")
        answer = verb()
        if after:
            self.failures += 1
            raise Unavailable("the answer was lost")
        return answer

    def lease(self, request: LeaseRequest) -> Lease:
        return self._call(lambda: self._verbs.lease(request))  # type: ignore[no-any-return]

    def report(self, lease: str, request: ReportRequest) -> ReportAnswer:
        return self._call(lambda: self._verbs.report(lease, request))  # type: ignore[no-any-return]

    def release(self, lease: str) -> None:
        self._call(lambda: self._verbs.release(lease))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'studies.db'}")
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def service(store: Store) -> Service:
    return Service(store, Settings(lease_seconds=5, poison_seconds=0))


@pytest.fixture
def cut_line() -> type[CutLine]:
    return CutLine


@pytest.fixture
def spec() -> Callable[..., StudySpec]:
    """A study of least-squares, by default eight random trials of ten epochs."""

    def made(**fields: Any) -> StudySpec:
        spec = {
            "name": "s",
            "task": "least-squares",
            "epochs": 10,
            "space": {"family": "step", "initial_lr": {"low": 1e-3, "high": 0.3, "log": True}},
            "sampler": "random",
            "budget": {"trials": 8},
        }
        return read_spec(spec | fields)

    return made


@pytest.fixture
def worker() -> Callable[..., Worker]:
    """A worker with every task, sharing no prefixes with others."""

    def made(verbs: LeaseVerbs, tasks: dict[str, type[Task]] | None = None, **options: Any) -> Worker:
        known = tasks or {name: task for name, task in load_tasks().items() if name == "least-squares"}
        return Worker(verbs, Trainer(known, PrefixStore(), "cpu"), offers=offers(known), **options)

    return made


@pytest.fixture
def values(service: Service) -> Callable[[str], dict[int, float | None]]:
    """The value of every trial; fails if a number is missing or there twice."""

    def found(name: str) -> dict[int, float | None]:
        trials: tuple[Trial, ...] = service.trials(name, limit=1000).items
        assert [trial.number for trial in trials] == list(range(len(trials)))
        return {trial.number: trial.value for trial in trials}

    return found
