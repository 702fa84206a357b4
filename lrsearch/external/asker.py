"""The asker: the lease behind a loop over trials, and the thread that does the talking."""

from __future__ import annotations

import logging
import os
import threading
import time

from ..errors import Conflict, InvalidInput, LrsearchError, NotAllowed, NotFound, Unavailable
from ..leasing import AWAY_SECONDS, IDLE_SECONDS, Backoff, LeaseVerbs
from ..study import ENDED, Assignment, LeaseRequest, Point, ReportAnswer, ReportRequest, Result, StudyState
from .left import send_left
from .outbox import Outbox
from .patience import WORDS_SECONDS, Patience
from .spool import Spool

log = logging.getLogger("lrsearch.external")

ANSWER_SECONDS = 10.0
"""How long ``report`` waits for its answer, once an outage: while the service is away, it does not wait at all."""

_WAITING = "trial %d is over, and the service is away: its result is kept %s; waiting for %.0f s at most"
_GIVEN_UP = (
    "trial {} is over, and the service was away for {:.0f} s: its result is kept {}. Once the service is back, run the "
    "loop on this study again, on this machine and soon: what is kept in a file is sent first, and counts unless the "
    "trial was given to somebody else meanwhile"
)


class Asker:
    """Holds one trial at a time. What it measured goes out in its order, by a thread that also renews the lease.

    While the service is there, ``report`` waits for the answer, so that ``should_stop`` is of the same epoch. While it
    is away, training goes on; what is unsent is kept, and sent in its order once the service is back.

    Args:
        verbs: the service, or a client that gives up soon.
        study: the study's name.
        worker: this process's id among the workers.
        spool: where to keep what is unsent; None = in memory alone.
        patience: how long to wait for a service that is away, where there is nothing to train meanwhile.
    """

    def __init__(self, verbs: LeaseVerbs, study: str, worker: str, spool: Spool | None, patience: Patience) -> None:
        self._verbs = verbs
        self._study = study
        self._worker = worker
        self._spool = spool
        self._patience = patience
        self._process = os.getpid()
        self._talking = threading.Lock()  # held during a call, so that calls come in their order
        self._changed = threading.Condition()  # guards everything below
        self._lease: str | None = None
        self._heard_at = 0.0
        self._heartbeat_seconds = 15.0
        self._state: StudyState | None = None
        self._waiting: list[Assignment] = []
        self._live: Outbox | None = None
        self._error: Exception | None = None
        self._away = False
        self._over = False
        self._talker: threading.Thread | None = None

    @property
    def lease(self) -> str | None:
        """The lease under way."""
        return self._lease

    def next(self) -> Outbox | None:
        """The next trial; None when the study is over."""
        idle = Backoff(IDLE_SECONDS)
        if time.monotonic() - self._heard_at > self._heartbeat_seconds:
            self._waiting = []  # it may be somebody else's by now: the service repeats it if it is not
        while not self._waiting:
            if self._lease is None:
                if self._spool is not None:
                    send_left(self._verbs, self._spool, self._worker, self._patience)
                self._patience.until_answered(self._ask)
            else:
                self._patience.until_answered(self._exchange)
            if not self._waiting and self._lease is not None:
                if self._state in ENDED:
                    return None
                time.sleep(idle.seconds())
        with self._changed:
            assignment = self._waiting.pop()
            file = None
            if self._spool is not None and self._lease is not None:
                file = self._spool.file(self._worker, assignment.trial, assignment.attempt, self._lease)
            self._live, self._error = Outbox(assignment, file), None
            if self._talker is None:
                self._talker = threading.Thread(target=self._talk, name="lrsearch reports", daemon=True)
                self._talker.start()
            self._changed.notify_all()
            return self._live

    def report(self, outbox: Outbox, point: Point) -> None:
        """Send a point, or keep it while the service is away."""
        self._require_own_process()
        with self._changed:
            if self._live is not outbox:
                return
            self._raise_error()
            if self._away:
                outbox.keep()
            outbox.add([point])
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: outbox.empty or self._away or self._error is not None, timeout=ANSWER_SECONDS
            )
            if not outbox.empty:
                self._note_away(f"no answer within {ANSWER_SECONDS:g} s")
            self._raise_error()

    def end(self, outbox: Outbox, result: Result) -> None:
        """Send the result, and wait until the service has it; nothing after a stop.

        Raises:
            Unavailable: the service was away for longer than the patience; the message says what becomes of the result.
        """
        if not self._in_own_process():
            return
        with self._changed:
            if self._live is not outbox:
                return
            try:
                if not outbox.unwanted:
                    if self._away:
                        outbox.keep()
                    outbox.add(result=result)
                    self._changed.notify_all()
                    self._await(outbox)
            except Unavailable:
                self._lease = None  # it holds a trial that nobody here goes on with: what follows takes a new one
                raise
            finally:
                self._leave(outbox)

    def part(self, outbox: Outbox) -> None:
        """The loop was left after the last epoch: send the result if the service is there, else leave it on disk."""
        self._patience = Patience(0.0)
        try:
            self.end(outbox, Result(state="completed"))
        except Unavailable as error:
            log.warning("%s", error)

    def hand_back(self) -> None:
        """End the lease: what it held is handed to others. What is unsent on disk stays, and keeps the lease."""
        if not self._in_own_process():
            return
        with self._changed:
            if self._live is not None:
                self._leave(self._live)
            lease, self._lease = self._lease, None
        if lease is not None:
            try:
                self._verbs.release(lease)
            except LrsearchError as error:
                log.debug("nothing handed back: %s", error)

    def close(self) -> None:
        """Hand back what is held, and end the thread."""
        if not self._in_own_process():
            return
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self.hand_back()
        if self._talker is not None:
            self._talker.join(1)

    def _leave(self, outbox: Outbox) -> None:
        """Have done with a trial; what is unsent on disk keeps its lease, so that it may still be sent."""
        self._live = None
        if outbox.safe:
            self._lease = None
        outbox.leave()

    def _await(self, outbox: Outbox) -> None:
        """Wait until the service has the result. Raises Unavailable when it was away for too long."""
        begun, number = time.monotonic(), outbox.assignment.trial
        wait = ANSWER_SECONDS
        while True:
            self._changed.wait_for(lambda: outbox.over or self._away or self._error is not None, wait)
            self._raise_error()
            if outbox.over:
                return
            self._note_away(f"no answer within {ANSWER_SECONDS:g} s")
            left = self._patience.seconds - (time.monotonic() - begun)
            if left <= 0:
                raise Unavailable(_GIVEN_UP.format(number, self._patience.seconds, outbox.where))
            log.warning(_WAITING, number, outbox.where, left)
            self._changed.wait_for(lambda: outbox.over or self._error is not None, min(WORDS_SECONDS, left))
            wait = 0.0

    # --- the thread that talks

    def _talk(self) -> None:
        """Send what there is to send, renew the lease in between, try again while the service is away."""
        pause = Backoff(AWAY_SECONDS)
        while self._something_to_do():
            try:
                self._exchange()
                pause.reset()
                continue
            except (InvalidInput, NotAllowed) as error:
                self._fail(error)
            except LrsearchError as error:
                with self._changed:
                    self._note_away(str(error))
            except Exception as error:
                log.exception("reports stopped")
                self._fail(error)
            with self._changed:
                self._changed.wait_for(lambda: self._over, pause.seconds())

    def _something_to_do(self) -> bool:
        """Wait until there is something to send, or the lease is to be renewed; False once all is over."""
        with self._changed:
            while not self._over:
                due: float | None = None
                if self._live is not None and self._lease is not None:
                    due = self._heard_at + self._heartbeat_seconds - time.monotonic()
                    if due <= 0 or self._away or not self._live.empty:
                        return True
                self._changed.wait(due)
            return False

    def _fail(self, error: Exception) -> None:
        """Something that the loop's own thread must hear of."""
        with self._changed:
            if self._live is not None and not isinstance(error, NotAllowed):
                self._live.clear()
            self._error = error
            self._changed.notify_all()

    # --- calls

    def _ask(self) -> None:
        request = LeaseRequest(worker=self._worker, hold=1, study=self._study, tasks=())
        with self._talking:
            lease = self._verbs.lease(request)
        with self._changed:
            self._lease, self._heard_at, self._away = lease.lease, time.monotonic(), False
            self._heartbeat_seconds = lease.heartbeat_seconds
            self._state = lease.study_state
            self._waiting = list(lease.assignments)

    def _exchange(self) -> None:
        """One report of what is unsent, or a heartbeat; and its answer."""
        with self._talking:
            with self._changed:
                lease, live = self._lease, self._live
                report = None if live is None else live.next_report()
            if lease is None:
                return
            try:
                answer = self._verbs.report(lease, ReportRequest(hold=1, reports=() if report is None else (report,)))
            except (Conflict, NotFound) as error:
                log.warning("the lease was lost: %s", error)
                self._lose(lease, live)
                return
        with self._changed:
            self._heard_at = time.monotonic()
            if self._away:
                log.warning("the service is back")
                self._away = False
            if live is not None and report is not None:
                live.taken(report)
            if self._lease == lease:  # else it was given up meanwhile
                self._take(answer, live)
            self._changed.notify_all()

    def _take(self, answer: ReportAnswer, live: Outbox | None) -> None:
        self._state = answer.study_state
        self._waiting = list(answer.assignments)
        if live is None or live.acknowledged:
            return
        held = live.assignment.key
        self._waiting = [item for item in answer.assignments if item.key != held]
        ends = [(item.study, item.trial) for item in answer.directives if item.do != "continue"]
        ends += [(item.study, item.trial) for item in answer.rejected]
        if held[:2] in ends or self._waiting:  # of one trial at a time, another one means that this one is over
            live.refuse()

    def _lose(self, lease: str, live: Outbox | None) -> None:
        with self._changed:
            if self._lease == lease:
                self._lease, self._waiting = None, []
            if live is not None:
                live.refuse()
            self._away = False
            self._changed.notify_all()

    def _note_away(self, why: str) -> None:
        """The service is away, until it answers again."""
        if not self._away:
            log.warning("the service is away (%s): training goes on, what it measures is kept", why)
        self._away = True
        if self._live is not None and not self._live.empty:
            self._live.keep()
        self._changed.notify_all()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _in_own_process(self) -> bool:
        """False in a child that was forked while a trial was trained: what it holds is its parent's."""
        return os.getpid() == self._process

    def _require_own_process(self) -> None:
        if not self._in_own_process():
            raise InvalidInput(
                "a trial is reported on by the process that asked for it; several processes that train it together "
                "each ask, with `rank` and `world`"
            )
