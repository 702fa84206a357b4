"""A worker on a study with rungs: it trains in any order, parks what waits, and goes on when it is told."""

from __future__ import annotations

import random
from collections.abc import Callable

from lrsearch.service import Service
from lrsearch.study import Assignment, LeaseRequest, Point, Report, ReportAnswer, ReportRequest, Result, TaskOffer

Loss = Callable[[Assignment, int], float | None]


def crossing(assignment: Assignment, epoch: int) -> float | None:
    """Curves that cross: what is good early is not what is good late; rates near 1 diverge."""
    rate = assignment.schedule.initial_lr
    if rate > 0.8 and epoch > 2:
        return None
    return 1 / (epoch * rate) + epoch * rate + 0.01 * assignment.seeds[0]


class Climber:
    """A worker that trains what it may, in any order, and keeps what waits."""

    def __init__(self, service: Service, name: str, offers: tuple[TaskOffer, ...], loss: Loss = crossing) -> None:
        self.service, self.name, self.offers, self.loss = service, name, offers, loss
        self.lease = ""
        self.held: dict[int, Assignment] = {}
        self.done: dict[int, int] = {}

    def ask(self, hold: int, study: str | None = None) -> None:
        lease = self.service.lease(LeaseRequest(worker=self.name, hold=hold, study=study, tasks=self.offers))
        self.lease, self.held, self.done = lease.lease, {}, {}
        self.accept(lease.assignments)

    def accept(self, assignments: tuple[Assignment, ...]) -> None:
        for assignment in assignments:
            if assignment.trial not in self.held or self.held[assignment.trial].attempt < assignment.attempt:
                self.held[assignment.trial] = assignment
                self.done[assignment.trial] = assignment.reported

    @property
    def ready(self) -> list[int]:
        return [number for number, its in self.held.items() if self.done[number] < its.until_epoch]

    def report_on(self, number: int, epochs: int = 1) -> Report:
        """Train some epochs; the report of it."""
        its, first = self.held[number], self.done[number] + 1
        points, result = [], None
        for epoch in range(first, min(first + epochs, its.until_epoch + 1)):
            value = self.loss(its, epoch)
            points += [Point(epoch=epoch, seed=seed, metrics={"val_loss": value}) for seed in its.seeds]
            self.done[number] = epoch
            if value is None or epoch == its.schedule.epochs:
                result = Result(state="diverged" if value is None else "completed")
                break
        return Report(study=its.study, trial=number, attempt=its.attempt, points=tuple(points), result=result)

    def say(self, *reports: Report, hold: int | None = None) -> ReportAnswer:
        answer = self.service.report(self.lease, ReportRequest(hold=hold, reports=reports))
        assert not answer.rejected
        for report in reports:
            if report.result is not None:
                self.held.pop(report.trial, None)
        for directive in answer.directives:
            if directive.trial not in self.held:
                continue
            if directive.do == "stop":
                del self.held[directive.trial]
            elif directive.do == "wait":
                assert directive.trial not in self.ready
            else:
                assert directive.until_epoch is not None
                further = {"until_epoch": directive.until_epoch}
                self.held[directive.trial] = self.held[directive.trial].model_copy(update=further)
        self.accept(answer.assignments)
        return answer

    def act(self, rng: random.Random, hold: int) -> None:
        """Report on some of what is ready, or just be there."""
        chosen = rng.sample(self.ready, rng.randint(0, len(self.ready)))
        self.say(*[self.report_on(number, rng.randint(1, 4)) for number in chosen], hold=hold)
