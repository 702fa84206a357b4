"""The worker: lease, train, report, against the service or its client alike."""

from __future__ import annotations

import contextlib
import logging
import platform
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple, Protocol

from .errors import Conflict, InvalidInput, LrsearchError, NotAllowed, NotFound
from .leasing import AWAY_SECONDS, IDLE_SECONDS, Backoff, LeaseVerbs, in_words, worker_name
from .study import (
    ENDED,
    Assignment,
    Directive,
    Lease,
    LeaseRequest,
    Point,
    Report,
    ReportAnswer,
    ReportRequest,
    Result,
    StudyState,
    TaskOffer,
)

if TYPE_CHECKING:
    from .tasks.task import Task

log = logging.getLogger("lrsearch.worker")

SEND_SECONDS = 0.3
"""Points are sent together, this often; a result is sent at once."""
PARTING_SECONDS = 2.0
"""How long a worker that is stopped tries to say goodbye."""
MAX_UNSENT = 10_000
"""Points kept while the service is away; training waits when there are so many."""
MAX_BATCH = 500
"""Points in one request."""


class Trains(Protocol):
    """What a worker needs of a trainer."""

    def train(self, assignment: Assignment, emit: Callable[[Point], None], stop: Callable[[], bool]) -> Result | None:
        """Train one assignment, telling every finished epoch; None if it was stopped."""


class Key(NamedTuple):
    """One attempt at one trial."""

    study: str
    trial: int
    attempt: int

    @classmethod
    def of(cls, assignment: Assignment) -> Key:
        """The key of an assignment."""
        return cls(assignment.study, assignment.trial, assignment.attempt)


def versions() -> dict[str, str]:
    """Versions that may matter for a number's last bits, of what is installed."""
    found = {"python": platform.python_version()}
    for package in ("lrsearch", "numpy", "torch"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def on_this_machine(
    verbs: LeaseVerbs,
    tasks: Mapping[str, type[Task]],
    *,
    name: str | None = None,
    hold: int = 1,
    study: str | None = None,
    device: str | None = None,
) -> Worker:
    """A worker that trains ``tasks`` here, with the user's prefix store, and announces them.

    Args:
        verbs: the service, or a client of it.
        tasks: every task by name.
        name: the worker's id; by default host and process.
        hold: how many trials to hold at once, >= 1.
        study: work on this study only, and end with it.
        device: ``"cpu"``, ``"cuda:1"``, ...; None = the best one here.
    """
    from .tasks.registry import offers
    from .training.prefixes import PrefixStore
    from .training.trainer import Trainer

    return Worker(
        verbs,
        Trainer(tasks, PrefixStore.default(), device),
        name=name,
        offers=offers(tasks),
        hold=hold,
        study=study,
        device=device_name(device),
        versions=versions(),
    )


def device_name(device: str | None = None) -> str:
    """The device that training would use here, for people to read.

    Raises:
        InvalidInput: torch knows no such device.
    """
    try:
        from .training.device import chosen_device
    except ModuleNotFoundError:
        return "cpu"  # without torch there is only numpy
    try:
        return str(chosen_device(device))
    except RuntimeError as error:
        raise InvalidInput(f"a device is cpu, cuda:0, mps, ... (got {device}): {error}", field="device") from None


class Worker:
    """Trains what the service hands out, one assignment after the other, until told to stop.

    The thread that calls ``run`` trains; one other thread does all the talking: points in batches, results at once,
    heartbeats in between. While the service is away, training goes on and nothing measured is lost; work whose lease
    was lost is dropped, and asked for anew.

    Args:
        verbs: the service, or a client of it.
        trainer: what trains.
        name: the worker's id; it has one lease at a time.
        offers: the tasks it announces; None = those of the built-in catalog.
        hold: how many trials to hold at once, >= 1.
        study: work on this study only, and end with it.
        device: what it trains on, for people to read.
        versions: versions to announce.
    """

    def __init__(
        self,
        verbs: LeaseVerbs,
        trainer: Trains,
        *,
        name: str | None = None,
        offers: Sequence[TaskOffer] | None = None,
        hold: int = 1,
        study: str | None = None,
        device: str | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name or worker_name()
        self._verbs = verbs
        self._trainer = trainer
        self._hold = hold
        self._study = study
        self._hello = LeaseRequest.read(
            {
                "worker": self.name,
                "hold": hold,
                "study": study,
                "tasks": None if offers is None else tuple(offers),
                "device": device,
                "versions": dict(versions or {}),
            }
        )
        self._changed = threading.Condition()
        self._held: dict[Key, Assignment] = {}
        self._inbox: deque[Key] = deque()
        self._unsent: dict[Key, list[Point]] = {}
        self._results: dict[Key, Result] = {}
        self._training: Key | None = None
        self._dropped = False
        self._lease: str | None = None
        self._study_state: StudyState | None = None
        self._closing = False
        self._error: BaseException | None = None
        self._until: Callable[[], bool] = lambda: False

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Work until ``until()`` is true (asked between epochs and while idle), or the only study is over.

        Whatever ends it, also KeyboardInterrupt, what was measured is sent and what is held is handed back.

        Raises:
            NotFound: the only study does not exist.
            NotAllowed: the service does not let this worker in.
        """
        self._until = until
        talker = threading.Thread(target=self._talk, name=f"{self.name} talks", daemon=True)
        talker.start()
        try:
            while (assignment := self._next()) is not None:
                self._train(assignment)
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            talker.join(PARTING_SECONDS + 1)
        if self._error is not None:
            raise self._error

    # --- the thread that trains

    def _next(self) -> Assignment | None:
        """Wait for something to train; None when the work is over."""
        with self._changed:
            while not self._over():
                while self._inbox:
                    if (assignment := self._held.get(self._inbox.popleft())) is not None:
                        self._training = Key.of(assignment)
                        return assignment
                self._changed.wait(0.2)
            return None

    def _over(self) -> bool:
        if self._error is not None or self._until():
            return True
        return self._study_state in ENDED and not self._held

    def _train(self, assignment: Assignment) -> None:
        key = Key.of(assignment)

        def emit(point: Point) -> None:
            with self._changed:
                while self._n_unsent() >= MAX_UNSENT and not stop():
                    self._changed.wait(0.2)
                if self._dropped:
                    return
                self._unsent.setdefault(key, []).append(point)
                self._changed.notify_all()

        def stop() -> bool:
            return self._dropped or self._error is not None or self._until()

        began = time.monotonic()
        result: Result | None
        try:
            result = self._trainer.train(assignment, emit, stop)
        except Exception as error:
            log.exception("%s/%d failed", key.study, key.trial)
            result = Result(state="failed", error=in_words(error))
        if result is not None:
            log.info("%s/%d %s in %.2f s", key.study, key.trial, result.state, time.monotonic() - began)
        with self._changed:
            if result is not None and not self._dropped:
                self._results[key] = result
            self._training = None
            self._dropped = False
            self._changed.notify_all()

    # --- the thread that talks

    def _talk(self) -> None:
        try:
            self._converse()
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _converse(self) -> None:
        away, idle = Backoff(AWAY_SECONDS), Backoff(IDLE_SECONDS)
        leased_at = spoke_at = 0.0
        heartbeat = 15.0
        while not self._closing:
            try:
                if self._lease is None or (not self._held and time.monotonic() - leased_at > heartbeat):
                    heartbeat = self._ask().heartbeat_seconds
                    leased_at = time.monotonic()
                else:
                    self._send()
                spoke_at = time.monotonic()
                away.reset()
            except (NotAllowed, InvalidInput):
                raise
            except (Conflict, NotFound) as error:
                if self._lease is None and self._study is not None:
                    raise  # there is no such study
                log.warning("the lease was lost (%s); its work is dropped", error)
                self._lose_everything()
                self._pause(away.seconds())
                continue
            except LrsearchError as error:
                pause = away.seconds()
                log.warning("the service is away (%s); trying again in %.1f s", error, pause)
                self._pause(pause)
                continue
            if self._held:
                idle.reset()
                self._await_news(spoke_at, heartbeat)
            else:
                self._pause(idle.seconds())
        self._part()

    def _ask(self) -> Lease:
        """A new lease, with everything that this worker can do."""
        lease = self._verbs.lease(self._hello)
        with self._changed:
            self._lease = lease.lease
            self._study_state = lease.study_state
            self._accept(lease.assignments)
        return lease

    def _send(self) -> None:
        """Send what was measured, and take in the answer; an empty batch is a heartbeat."""
        assert self._lease is not None
        reports = self._batch()
        try:
            answer = self._verbs.report(self._lease, ReportRequest(hold=self._hold, reports=reports))
        except InvalidInput:
            if not reports:
                raise
            self._send_singly(reports)
            return
        self._take(reports, answer)

    def _send_singly(self, reports: Sequence[Report]) -> None:
        """A batch was refused: send each report by itself; one that is refused again fails its trial."""
        assert self._lease is not None
        for report in reports:
            try:
                self._take([report], self._verbs.report(self._lease, ReportRequest(reports=(report,))))
            except InvalidInput as reason:
                log.error("%s/%d: the service refused its report: %s", report.study, report.trial, reason)
                failed = Result(state="failed", error=in_words(reason))
                last = report.model_copy(update={"points": (), "result": failed})
                self._take([last], self._verbs.report(self._lease, ReportRequest(reports=(last,))))
                with self._changed:
                    self._drop(Key(report.study, report.trial, report.attempt))

    def _batch(self) -> tuple[Report, ...]:
        """What is to be sent next: at most MAX_BATCH points, in the order they were measured."""
        reports = []
        room = MAX_BATCH
        with self._changed:
            for key in self._held:
                points = self._unsent.get(key, [])[:room]
                room -= len(points)
                whole = len(points) == len(self._unsent.get(key, []))
                result = self._results.get(key) if whole else None
                if points or result is not None:
                    reports.append(Report(**key._asdict(), points=tuple(points), result=result))
        return tuple(reports)

    def _take(self, reports: Sequence[Report], answer: ReportAnswer) -> None:
        """Strike out what was acknowledged, and take in assignments and directives."""
        with self._changed:
            for report in reports:
                key = Key(report.study, report.trial, report.attempt)
                if key in self._unsent:
                    del self._unsent[key][: len(report.points)]
                if report.result is not None:
                    self._forget(key)
            for item in answer.rejected:
                log.warning("%s/%d: dropped: %s", item.study, item.trial, item.reason)
                self._drop(Key(item.study, item.trial, item.attempt))
            for directive in answer.directives:
                self._follow(directive)
            self._study_state = answer.study_state
            self._accept(answer.assignments)
            self._changed.notify_all()

    def _accept(self, assignments: Sequence[Assignment]) -> None:
        for assignment in assignments:
            key = Key.of(assignment)
            if key not in self._held:
                self._held[key] = assignment
                self._inbox.append(key)
        self._changed.notify_all()

    def _follow(self, directive: Directive) -> None:
        for key, assignment in list(self._held.items()):
            if key[:2] != (directive.study, directive.trial):
                continue
            if directive.do == "continue":
                until = directive.until_epoch or assignment.until_epoch
                self._held[key] = assignment.model_copy(update={"until_epoch": until})
                self._inbox.append(key)
            else:
                log.info("%s/%d: %s: %s", key.study, key.trial, directive.do, directive.why)
                self._drop(key)

    def _drop(self, key: Key) -> None:
        """Stop working on it, and send nothing more of it."""
        if key == self._training:
            self._dropped = True
        self._forget(key)

    def _forget(self, key: Key) -> None:
        for place in (self._held, self._unsent, self._results):
            place.pop(key, None)
        self._changed.notify_all()

    def _lose_everything(self) -> None:
        with self._changed:
            for key in list(self._held):
                self._drop(key)
            self._inbox.clear()
            self._lease = None

    def _n_unsent(self) -> int:
        return sum(map(len, self._unsent.values()))

    def _urgent(self) -> bool:
        return self._closing or bool(self._results)

    def _await_news(self, spoke_at: float, heartbeat: float) -> None:
        """Wait until there is something to say: a result at once, points after a while, else a heartbeat."""
        with self._changed:
            while not self._urgent():
                limit = SEND_SECONDS if self._n_unsent() else heartbeat
                left = spoke_at + limit - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(min(left, 0.5))

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        with self._changed:
            while not self._closing and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def _part(self) -> None:
        """Send what is left and hand back the rest, as far as the service is there."""
        end = time.monotonic() + PARTING_SECONDS
        away = Backoff(AWAY_SECONDS)
        while self._lease is not None and time.monotonic() < end:
            try:
                if self._batch():
                    self._hold = 0
                    self._send()
                    continue
                self._verbs.release(self._lease)
                return
            except (Conflict, NotFound, NotAllowed):
                return
            except LrsearchError:
                time.sleep(away.seconds())
