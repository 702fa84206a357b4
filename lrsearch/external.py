"""Ask and report from the user's own loop: trials that are trained by whatever code asks for them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Protocol, Self, SupportsFloat

from .errors import Conflict, InvalidInput, LrsearchError, NotAllowed, NotFound
from .leasing import AWAY_SECONDS, IDLE_SECONDS, Backoff, LeaseVerbs, in_words, worker_name
from .schedules import Schedule
from .study import (
    ENDED,
    Assignment,
    LeaseRequest,
    Point,
    Report,
    ReportAnswer,
    ReportRequest,
    Result,
    Study,
    StudyState,
)

log = logging.getLogger("lrsearch.external")


class LiveTrial:
    """One trial of an external study, to be trained by your own code, as a context manager::

        with trial:
            for epoch in range(trial.start, trial.epochs):
                ...
                trial.report(val_loss=loss)
                if trial.should_stop: break

    Leaving the block completes the trial with the last reported objective; an exception fails it.

    Attributes:
        study: the study's name.
        number: the trial's number.
        attempt: the n-th time this trial is handed out.
        schedule: the schedule to train with.
        params: what the sampler chose.
        options: the study's free options.
        seed: the seed to train with.
        start: finished epochs that this attempt begins with; 0 unless ``resume`` was called.
        epochs: how many epochs (reporting intervals) to train, counted from the very start.
        reported: epochs that an earlier, lost attempt had reported.
        history: the metrics reported so far, an epoch each: ``schedule.lr(update, ..., history=trial.history)`` of a
            metric-driven schedule needs them; after ``resume`` put those of the epochs before it there.
    """

    def __init__(self, asker: _Asker, assignment: Assignment) -> None:
        self._asker = asker
        self.history: list[dict[str, float]] = []
        self._ended = False
        self._stop = False
        self.study = assignment.study
        self.number = assignment.trial
        self.attempt = assignment.attempt
        self.schedule: Schedule = assignment.schedule
        self.params: dict[str, Any] = dict(assignment.params)
        self.seed = assignment.seeds[0]
        self.epochs = assignment.until_epoch
        self.reported = assignment.reported
        self.start = 0
        self._position = 0
        options = assignment.recipe.get("options")
        self.options: dict[str, Any] = dict(options) if isinstance(options, dict) else {}

    def resume(self, epoch: int) -> int:
        """Go on from your own checkpoint of this trial, taken after ``epoch`` finished epochs.

        Without it a trial that was lost is trained again from its beginning: a model that starts in the middle of a
        schedule would be another experiment.

        Returns:
            ``epoch``, also kept as ``start``.

        Raises:
            InvalidInput: ``epoch`` is beyond what was reported, or something was reported already.
        """
        if not 0 <= epoch <= self.reported or self._position != self.start:
            raise InvalidInput(
                f"a trial resumes before its first report, after at most {self.reported} epochs (got {epoch})",
                field="epoch",
            )
        self.start = self._position = epoch
        return epoch

    def report(self, **metrics: SupportsFloat) -> None:
        """Tell the metrics of the next epoch; NaN and infinity are accepted and mean "was not finite".

        Raises:
            InvalidInput: all epochs were reported already, or a metric is no number.
        """
        if self._ended or self._stop:
            return
        if self._position >= self.epochs:
            raise InvalidInput(f"trial {self.number} has {self.epochs} epochs, and all of them were reported")
        values = {name: _number(name, value) for name, value in metrics.items()}
        point = Point.read({"epoch": self._position + 1, "seed": self.seed, "metrics": values})
        self._position += 1
        self.history.append(values)
        self._asker.note(self, point)

    @property
    def should_stop(self) -> bool:
        """Whether training this trial further is of no use: it was pruned, cancelled, or given to somebody else."""
        return self._stop

    @property
    def finished(self) -> bool:
        """Whether all of its epochs were reported."""
        return self._position >= self.epochs

    def __enter__(self) -> Self:
        """Train it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete it; fail it where an exception ended the block; hand it back on Ctrl-C."""
        if error is None:
            self._asker.end(self, Result(state="completed"))
        elif isinstance(error, Exception):
            self._asker.end(self, Result(state="failed", error=in_words(error)))
        else:
            self._asker.hand_back()


def _number(name: str, value: SupportsFloat) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidInput(f"the metric `{name}` is a number (got {value!r:.100})", field=name) from None


class _Asker:
    """The lease behind a loop over trials: sends, renews, waits; one trial at a time."""

    def __init__(self, verbs: LeaseVerbs, study: str, worker: str) -> None:
        self._verbs = verbs
        self._study = study
        self._worker = worker
        self._guard = threading.RLock()
        self._over = threading.Event()
        self._lease: str | None = None
        self._leased_at = 0.0
        self._heartbeat_seconds = 15.0
        self._state: StudyState | None = None
        self._waiting: list[Assignment] = []
        self._live: LiveTrial | None = None
        self._unsent: list[Point] = []
        self._result: Result | None = None
        self._idle = Backoff(IDLE_SECONDS)
        self._renewal = threading.Thread(target=self._renew, name="lease renewal", daemon=True)

    def next(self) -> LiveTrial | None:
        """The next trial; None when the study is over."""
        self._idle.reset()
        while not self._waiting:
            self._again_until_answered(self._ask if self._stale() else self._exchange)
            if not self._waiting:
                if self._state in ENDED:
                    return None
                time.sleep(self._idle.seconds())
        with self._guard:
            self._live = LiveTrial(self, self._waiting.pop())
            if not self._renewal.is_alive():
                self._renewal.start()
            return self._live

    def _stale(self) -> bool:
        return self._lease is None or time.monotonic() - self._leased_at > self._heartbeat_seconds

    def note(self, trial: LiveTrial, point: Point) -> None:
        """Send a point; while the service is away it is kept, and training goes on."""
        with self._guard:
            if self._live is not trial:
                return
            self._unsent.append(point)
            try:
                self._try()
            except InvalidInput:
                self._unsent.clear()
                raise

    def end(self, trial: LiveTrial, result: Result) -> None:
        """Send the result, however long that takes; nothing after a stop."""
        with self._guard:
            if self._live is not trial:
                return
            if not trial.should_stop:
                self._result = result
                self._again_until_answered(self._exchange)
            self._drop()

    def part(self, trial: LiveTrial) -> None:
        """The loop was left: send the result of a trial whose epochs were all reported, if the service is there."""
        with self._guard:
            if self._live is trial and trial.finished and not trial.should_stop:
                self._result = Result(state="completed")
                self._try()
                self._drop()

    def hand_back(self) -> None:
        """End the lease: what it held is handed to others."""
        with self._guard:
            lease, self._lease = self._lease, None
            self._drop()
            if lease is not None:
                try:
                    self._verbs.release(lease)
                except LrsearchError as error:
                    log.debug("nothing handed back: %s", error)

    def _renew(self) -> None:
        """Keep the lease while trials train; runs in a thread of its own from the first trial on."""
        while not self._over.wait(self._heartbeat_seconds):
            with self._guard:
                if self._live is not None:
                    try:
                        self._try()
                    except LrsearchError as error:
                        log.warning("the lease of trial %d was not renewed: %s", self._live.number, error)

    def close(self) -> None:
        """Hand back what is held and end the renewal."""
        self._over.set()
        self.hand_back()
        if self._renewal.is_alive():
            self._renewal.join(1)

    def _drop(self) -> None:
        if self._live is not None:
            self._live._ended = True
        self._live, self._unsent, self._result = None, [], None

    def _try(self) -> None:
        """Send once; what the service does not take now is kept for later."""
        try:
            self._exchange()
        except (NotAllowed, InvalidInput):
            raise
        except LrsearchError as error:
            log.warning(
                "trial %s: the service is away (%s); its points are kept", self._live and self._live.number, error
            )

    def _again_until_answered(self, verb: Any) -> None:
        away = Backoff(AWAY_SECONDS)
        while True:
            try:
                verb()
                return
            except (NotAllowed, InvalidInput, NotFound, Conflict):
                raise
            except LrsearchError as error:
                pause = away.seconds()
                log.warning("the service is away (%s); trying again in %.1f s", error, pause)
                time.sleep(pause)

    def _ask(self) -> None:
        request = LeaseRequest(worker=self._worker, hold=1, study=self._study, tasks=())
        with self._guard:
            lease = self._verbs.lease(request)
            self._lease, self._leased_at = lease.lease, time.monotonic()
            self._heartbeat_seconds = lease.heartbeat_seconds
            self._state = lease.study_state
            self._waiting = list(lease.assignments)

    def _exchange(self) -> None:
        """One report with all that is unsent, and its answer."""
        with self._guard:
            if self._lease is None:
                return
            live = self._live
            reports: tuple[Report, ...] = ()
            if live is not None and (self._unsent or self._result):
                reports = (
                    Report(
                        study=live.study,
                        trial=live.number,
                        attempt=live.attempt,
                        points=tuple(self._unsent),
                        result=self._result,
                    ),
                )
            try:
                answer = self._verbs.report(self._lease, ReportRequest(hold=1, reports=reports))
            except (Conflict, NotFound) as error:
                log.warning("the lease was lost: %s", error)
                self._lease, self._waiting = None, []
                self._stop_live()
                return
            self._unsent = []
            self._take(answer)

    def _take(self, answer: ReportAnswer) -> None:
        self._state = answer.study_state
        live = self._live
        if live is not None:
            here = (live.study, live.number)
            ends = [(item.study, item.trial) for item in answer.directives if item.do != "continue"]
            ends += [(item.study, item.trial) for item in answer.rejected]
            if here in ends:
                self._stop_live()
        held = None if live is None or self._result is not None else (live.study, live.number, live.attempt)
        self._waiting = [item for item in answer.assignments if (item.study, item.trial, item.attempt) != held]

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live._stop = True
            self._unsent, self._result = [], None


class TrialVerbs(LeaseVerbs, Protocol):
    """The lease verbs, and a look at the study."""

    def study(self, name: str) -> Study:
        """One study."""


def trials(verbs: TrialVerbs, study: str, *, worker: str | None = None) -> Iterator[LiveTrial]:
    """The trials of an external study, one after the other, until the study is over::

        for trial in trials(verbs, "my-study"):
            with trial:
                train(trial)

    Without the ``with``, the next turn of the loop completes the trial. While other processes hold what is left of
    the study, it waits. Leaving the loop early hands the trial back, unless all its epochs were reported.

    Args:
        verbs: the service in this process, or a client.
        study: the study's name; its task is ``external``.
        worker: this process's id among the workers; by default one of its own.

    Raises:
        NotFound: there is no such study.
        InvalidInput: the study's task is trained by workers, not by your own loop.
    """
    if not verbs.study(study).spec.external:
        raise InvalidInput(f"the task of `{study}` is trained by workers; only `task: external` is trained by a loop")
    return _trials(_Asker(verbs, study, worker or worker_name(f"-{threading.get_ident() % 100_000}")))


def _trials(asker: _Asker) -> Iterator[LiveTrial]:
    trial: LiveTrial | None = None
    try:
        while (trial := asker.next()) is not None:
            yield trial
            asker.end(trial, Result(state="completed"))
    except GeneratorExit:
        if trial is not None:
            asker.part(trial)
        raise
    finally:
        asker.close()
