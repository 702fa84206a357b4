"""The worker: lease, train, report, against the service or its client alike."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from .errors import Conflict, InvalidInput, LrsearchError, NotAllowed, NotFound
from .leasing import AWAY_SECONDS, IDLE_SECONDS, Backoff, LeaseVerbs, in_words, worker_name
from .ledger import Ledger, News, Trains
from .study import (
    ENDED,
    Attempt,
    Lease,
    LeaseRequest,
    Report,
    ReportAnswer,
    ReportRequest,
    Result,
    StudyState,
    TaskOffer,
)

log = logging.getLogger("lrsearch.worker")

SEND_SECONDS = (0.3, 2.0)
"""Points are sent together, at least and at most so long after the last ones."""
PACE = 5.0
"""Between those bounds, so many times as long as the last report took: neither side spends its time on reports."""
RESULT_PACE = 4.0
"""A result is sent so many times sooner, as others may follow from it."""
WAIT_SECONDS = 2.0
"""How long the service may keep back its answer to a worker without work."""
PARTING_SECONDS = 2.0
"""How long a worker that is stopped tries to say goodbye."""
MAX_UNSENT = 50_000
"""Points kept while the service is away; training waits when there are so many."""
MAX_HOLD = 10_000
"""The most trials that the service gives to one worker."""
PATIENCE_SECONDS = 1.0
"""How long a worker that has just begun waits for the rest of what it may hold, so that all of it starts together."""


class Worker:
    """Trains what the service hands out, all that it holds side by side, until told to stop.

    The thread that calls ``run`` trains; one other thread does all the talking, while the next epoch trains: points in
    batches, results sooner, at once what a trainer without work waits for, heartbeats in between. Without work it
    leaves the service a call to answer when there is some. It asks for one trial first, and, once the trainer knows the
    recipe, for as many as that can use. While the service is away, training goes on and nothing measured is lost; work
    whose lease was lost is dropped, and asked for anew.

    Args:
        verbs: the service, or a client of it.
        trainer: what trains.
        name: the worker's id; it has one lease at a time.
        offers: the tasks it announces; None = those of the built-in catalog.
        hold: the most trials to hold at once, >= 1; None = as many as the trainer can use.
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
        hold: int | None = None,
        study: str | None = None,
        device: str | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name or worker_name()
        self._verbs = verbs
        self._trainer = trainer
        self._most = hold or MAX_HOLD
        self._hold = min(self._most, trainer.hold)
        self._told_hold = 0
        self._study = study
        self._hello = LeaseRequest.read(
            {
                "worker": self.name,
                "hold": self._hold,
                "study": study,
                "tasks": None if offers is None else tuple(offers),
                "device": device,
                "versions": dict(versions or {}),
            }
        )
        self._ledger = Ledger()
        self._changed = self._ledger.changed
        self._lease: str | None = None
        self._study_state: StudyState | None = None
        self._pace_seconds = SEND_SECONDS[0]
        self._rests = True
        self._waits = False
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
            self._train()
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            if self._waits:
                self._release()  # the service answers the call that waits: the lease has ended
            self._trainer.close()
            talker.join(PARTING_SECONDS + 1)
        if self._error is not None:
            raise self._error

    # --- the thread that trains

    def _train(self) -> None:
        """Train whatever is held until the work is over."""
        idle_since = time.monotonic()
        while not self._over():
            try:
                was_busy = self._trainer.busy
                for order in self._ledger.orders():
                    order(self._trainer)
                if not was_busy:
                    idle_since = time.monotonic()  # after the orders: the first one of a recipe takes its time
                self._ledger.update_seconds, self._ledger.note = self._trainer.update_seconds, self._trainer.note
                self._want(self._trainer.hold)
                if self._may_step(idle_since):
                    news = self._trainer.step()
                    self._log(news)
                    self._ledger.add(news)
            except Exception as error:
                log.exception("training failed")
                self._ledger.fail(Result(state="failed", error=in_words(error)))

    def _want(self, hold: int) -> None:
        """How many trials to ask for."""
        with self._changed:
            if self._hold != min(self._most, hold):
                self._hold = min(self._most, hold)
                self._changed.notify_all()

    def _may_step(self, idle_since: float) -> bool:
        """Whether to train now; if not, a moment has passed."""
        with self._changed:
            begins = time.monotonic() - idle_since < PATIENCE_SECONDS and self._lease is not None
            if self._rests == self._trainer.busy:
                self._rests = not self._trainer.busy
                self._changed.notify_all()
            if self._trainer.busy and self._ledger.n_unsent < MAX_UNSENT and not (begins and self._asks_for_more):
                return True
            self._changed.wait(0.2)
            return False

    @property
    def _asks_for_more(self) -> bool:
        return self._hold > self._told_hold

    def _stopped(self) -> bool:
        return self._closing

    def _over(self) -> bool:
        if self._error is not None or self._until():
            return True
        return self._study_state in ENDED and not self._ledger.n_active

    @staticmethod
    def _log(news: Sequence[News]) -> None:
        for key, item in news:
            if isinstance(item, Result):
                log.info("%s/%d %s", key.study, key.trial, item.state)

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
            asked_at = time.monotonic()
            try:
                if self._lease is None or (not len(self._ledger) and time.monotonic() - leased_at > heartbeat):
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
                if not self._stopped():
                    log.warning("the lease was lost (%s); its work is dropped", error)
                self._ledger.clear()
                self._lease = None
                self._pause(away.seconds())
                continue
            except LrsearchError as error:
                pause = away.seconds()
                log.warning("the service is away (%s); trying again in %.1f s", error, pause)
                self._pause(pause)
                continue
            if self._ledger.n_active:
                idle.reset()
                self._await_news(spoke_at, heartbeat)
            elif spoke_at - asked_at < WAIT_SECONDS / 2:
                self._pause(idle.seconds())
            else:
                idle.reset()  # the service kept the call until now
        self._part()

    def _ask(self) -> Lease:
        """A new lease, with everything that this worker can do."""
        hold = self._hold
        lease = self._verbs.lease(self._hello.model_copy(update={"hold": hold}))
        with self._changed:
            self._lease, self._told_hold = lease.lease, hold
            self._study_state = lease.study_state
            self._ledger.accept(lease.assignments)
        return lease

    def _send(self) -> None:
        """Send what was measured, and take in the answer; an empty batch is a heartbeat."""
        assert self._lease is not None
        with self._changed:
            reports, hold = self._ledger.batch(), 0 if self._closing else self._hold
            self._waits = not (reports or self._ledger.n_active or self._closing)
        request = ReportRequest(hold=hold, reports=reports)
        if self._waits:
            request = request.model_copy(update={"wait_seconds": WAIT_SECONDS})
        began = time.monotonic()
        try:
            answer = self._verbs.report(self._lease, request)
        except InvalidInput:
            if not reports:
                raise
            self._send_singly(reports)
            return
        finally:
            self._waits = False
        if reports:
            least, most = SEND_SECONDS
            self._pace_seconds = min(max(least, PACE * (time.monotonic() - began)), most)
        self._told_hold = hold
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
                self._ledger.drop(report.key)

    def _take(self, reports: Sequence[Report], answer: ReportAnswer) -> None:
        """Strike out what was acknowledged, and take in assignments and directives."""
        with self._changed:
            self._ledger.strike_out(reports)
            for item in answer.rejected:
                log.warning("%s/%d: dropped: %s", item.study, item.trial, item.reason)
                self._ledger.drop(Attempt(item.study, item.trial, item.attempt))
            for directive in answer.directives:
                if not self._ledger.knows(directive):
                    log.info("%s/%d: %s: %s", directive.study, directive.trial, directive.do, directive.why)
                match directive.do:
                    case "continue":
                        self._ledger.extend(directive.study, directive.trial, directive.until_epoch)
                    case "wait":
                        self._ledger.park(directive.study, directive.trial)
                    case "stop":
                        self._ledger.drop_trial(directive.study, directive.trial)
            self._study_state = answer.study_state
            self._ledger.accept(answer.assignments)

    def _urgent(self) -> bool:
        unsent = self._ledger.n_unsent > 0 or self._ledger.has_results
        return self._closing or self._ledger.has_batch or self._asks_for_more or (unsent and self._rests)

    def _await_news(self, spoke_at: float, heartbeat: float) -> None:
        """Wait until there is something to say: results and points after a while, else a heartbeat."""
        with self._changed:
            while not self._urgent():
                limit = self._pace_seconds if self._ledger.n_unsent else heartbeat
                if self._ledger.has_results:
                    limit = self._pace_seconds / RESULT_PACE
                left = spoke_at + limit - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(min(left, 0.5))

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        with self._changed:
            while not self._closing and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def _release(self) -> None:
        """Hand everything back, if the service is there."""
        with contextlib.suppress(LrsearchError):
            if self._lease is not None:
                self._verbs.release(self._lease)

    def _part(self) -> None:
        """Send what is left and hand back the rest, as far as the service is there."""
        end = time.monotonic() + PARTING_SECONDS
        away = Backoff(AWAY_SECONDS)
        while self._lease is not None and time.monotonic() < end:
            try:
                if self._ledger.batch():
                    self._send()
                    continue
                self._verbs.release(self._lease)
                return
            except (Conflict, NotFound, NotAllowed):
                return
            except LrsearchError:
                time.sleep(away.seconds())
