"""A worker that computes its curves instead of training them: all the service sees is the three verbs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from lrsearch.service import Service, Settings
from lrsearch.store import Store
from lrsearch.study import (
    Assignment,
    Lease,
    LeaseRequest,
    Point,
    Report,
    ReportAnswer,
    ReportRequest,
    Result,
    StudySpec,
    TaskOffer,
    read_spec,
)

TOY = TaskOffer.model_validate(
    {
        "name": "toy",
        "train_examples": 64,
        "metrics": {"val_loss": "minimize", "val_accuracy": "maximize"},
        "options_schema": {
            "type": "object",
            "properties": {"width": {"type": "integer", "default": 8, "minimum": 1}},
            "additionalProperties": False,
        },
        "defaults": {"optimizer": "sgd", "batch_size": 16, "initial_lr": {"low": 1e-3, "high": 1.0, "log": True}},
        "has_test": True,
    }
)


def loss(assignment: Assignment, epoch: int, seed: int) -> float:
    """A loss with its best initial rate at 0.1, falling with the epochs."""
    off = abs(math.log10(assignment.schedule.initial_lr) + 1)
    return off + 0.3 * assignment.schedule.final_factor + 1.0 / epoch + 0.001 * seed


class Toy:
    """A worker that holds trials and reports computed points."""

    def __init__(self, service: Service, name: str = "w1", *, offers: tuple[TaskOffer, ...] = (TOY,)) -> None:
        self.service = service
        self.name = name
        self.offers = offers
        self.lease: Lease | None = None
        self.held: list[Assignment] = []

    def ask(self, hold: int = 1, study: str | None = None) -> list[Assignment]:
        """Take a new lease; what it assigns."""
        self.lease = self.service.lease(LeaseRequest(worker=self.name, hold=hold, study=study, tasks=self.offers))
        self.held = list(self.lease.assignments)
        return self.held

    def points(self, assignment: Assignment, first: int, last: int) -> tuple[Point, ...]:
        """Computed points of epochs first..last."""
        final = assignment.purpose == "test"
        return tuple(
            Point(
                epoch=epoch,
                seed=seed,
                seconds=0.01,
                metrics={"val_loss": loss(assignment, epoch, seed)} | ({"test_loss": 0.5} if final else {}),
            )
            for epoch in range(first, last + 1)
            for seed in assignment.seeds
        )

    def say(self, *reports: Report, hold: int | None = None) -> ReportAnswer:
        """Send reports; new assignments are held from then on."""
        assert self.lease is not None
        answer = self.service.report(self.lease.lease, ReportRequest(hold=hold, reports=reports))
        known = {(a.study, a.trial, a.attempt) for a in self.held}
        self.held += [a for a in answer.assignments if (a.study, a.trial, a.attempt) not in known]
        return answer

    def told(self, assignment: Assignment, upto: int | None = None, result: Result | None = None) -> Report:
        """The report of an assignment's epochs up to ``upto`` (all), completed where those are all."""
        last = upto or assignment.until_epoch
        if result is None and last == assignment.until_epoch:
            result = Result(state="completed")
        return Report(
            study=assignment.study,
            trial=assignment.trial,
            attempt=assignment.attempt,
            points=self.points(assignment, assignment.reported + 1, last),
            result=result,
        )

    def finish(self, hold: int | None = None) -> ReportAnswer:
        """Train the oldest held trial to its end."""
        return self.say(self.told(self.held.pop(0)), hold=hold)

    def work(self, hold: int = 1, study: str | None = None) -> int:
        """Train until nothing is handed out any more; how many assignments that were."""
        self.ask(hold, study)
        done = 0
        while self.held:
            self.finish(hold)
            done += 1
        return done


@pytest.fixture
def settings() -> Settings:
    return Settings(lease_seconds=60)


@pytest.fixture
def service(store: Store, settings: Settings) -> Service:
    return Service(store, settings)


@pytest.fixture
def toy(service: Service) -> Callable[..., Toy]:
    return lambda name="w1", **options: Toy(service, name, **options)


@pytest.fixture
def spec() -> Callable[..., StudySpec]:
    def make(**fields: Any) -> StudySpec:
        space = {"family": "cosine", "initial_lr": {"low": 1e-3, "high": 1.0, "log": True}}
        return read_spec({"name": "s", "task": "toy", "epochs": 3, "space": space, "budget": {"trials": 4}} | fields)

    return make
