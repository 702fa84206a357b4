"""A worker as a process: asks, reports computed points, writes down what was acknowledged, and ends with its study."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, TypeVar

from lrsearch.client import Client
from lrsearch.errors import Conflict, NotFound, Unavailable
from lrsearch.study import ENDED, Assignment, LeaseRequest, Point, Report, ReportRequest, Result

Answer = TypeVar("Answer")
PAUSE_SECONDS = 0.1


def insist(verb: Callable[..., Answer], *arguments: Any) -> tuple[Answer, bool]:
    """The answer, however often one has to ask, sooner than a lease is over; and whether one had to ask again."""
    asked_again = False
    while True:
        try:
            return verb(*arguments), asked_again
        except Unavailable:
            asked_again = True
            time.sleep(PAUSE_SECONDS)


def loss(assignment: Assignment, epoch: int) -> float:
    """A function of the schedule and the epoch, and of nothing else."""
    return assignment.schedule.initial_lr / epoch + assignment.trial


def train(client: Client, lease: str, its: Assignment, log: TextIO, seconds: float) -> None:
    """Report one epoch after the other."""
    for epoch in range(its.reported + 1, its.until_epoch + 1):
        time.sleep(seconds)
        point = Point(epoch=epoch, metrics={"loss": loss(its, epoch)})
        result = Result(state="completed") if epoch == its.until_epoch else None
        report = Report(study=its.study, trial=its.trial, attempt=its.attempt, points=(point,), result=result)
        answer, _ = insist(client.report, lease, ReportRequest(hold=0, reports=(report,)))
        if answer.rejected or any(order.do == "stop" for order in answer.directives):
            return
        said = [{"epoch": epoch, "value": loss(its, epoch)}, *([{"state": "completed"}] if result else [])]
        for entry in said:
            log.write(json.dumps({"study": its.study, "trial": its.trial, "attempt": its.attempt} | entry) + "\n")


def main(server: str, study: str, path: Path, name: str, seconds: float) -> None:
    """Train trials of ``study``, ``seconds`` an epoch; the log at ``path`` is one of JSON lines."""
    client = Client(server, patience=0)
    with path.open("a", buffering=1) as log:
        while True:
            lease, asked_again = insist(client.lease, LeaseRequest(worker=name, hold=1, study=study, tasks=()))
            for its in lease.assignments if asked_again else ():  # the answer before may have been lost on its way
                log.write(json.dumps({"retaken": its.trial, "attempt": its.attempt}) + "\n")
            if lease.study_state in ENDED:
                return
            try:
                for assignment in lease.assignments:
                    train(client, lease.lease, assignment, log, seconds)
            except (Conflict, NotFound) as error:
                log.write(json.dumps({"lost": str(error)}) + "\n")
            if not lease.assignments:
                time.sleep(0.1)
