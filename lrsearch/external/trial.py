"""A live trial: what the user's own code trains and reports on."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, SupportsFloat

from ..errors import InvalidInput, Unavailable
from ..leasing import in_words
from ..schedules import Schedule
from ..study import Assignment, Result
from .line import Line


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
        rank: which of the processes that train it together this is; 0 where there is one.
        world: how many processes train it together.
    """

    def __init__(self, assignment: Assignment, line: Line) -> None:
        self._line = line
        self._ended = False
        self.history: list[dict[str, float]] = []
        self.study = assignment.study
        self.number = assignment.trial
        self.attempt = assignment.attempt
        self.schedule: Schedule = assignment.schedule
        self.params: dict[str, Any] = dict(assignment.params)
        self.seed = assignment.seeds[0]
        self.epochs = assignment.until_epoch
        self.reported = assignment.reported
        self.rank, self.world = line.rank, line.world
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

        Where several processes train the trial together, all of them report every epoch: the metrics of rank 0 count,
        and stand in every ``history``.

        Raises:
            InvalidInput: all epochs were reported already, or a metric is no number.
        """
        if self._ended or self.should_stop:
            return
        if self._position >= self.epochs:
            raise InvalidInput(f"trial {self.number} has {self.epochs} epochs, and all of them were reported")
        values = self._line.report(self._position + 1, metrics)
        self._position += 1
        self.history.append(values)

    @property
    def should_stop(self) -> bool:
        """Whether training this trial further is of no use: it was pruned, cancelled, or given to somebody else.

        Where several processes train it together, it changes with ``report`` alone, for all of them at the same epoch.
        """
        return self._line.unwanted

    @property
    def finished(self) -> bool:
        """Whether all of its epochs were reported."""
        return self._position >= self.epochs

    def complete(self) -> None:
        """Complete it; leaving the block does."""
        if not self._ended:
            self._ended = True
            self._line.end(Result(state="completed"))

    def part(self) -> None:
        """The loop was left: completed where all of its epochs were reported, else handed back."""
        if not self._ended:
            self._ended = True
            self._line.part(self.finished)

    def __enter__(self) -> Self:
        """Train it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete it; fail it where an exception ended the block; hand it back on Ctrl-C."""
        if error is None:
            self.complete()
        elif self._ended:
            return
        elif isinstance(error, Exception):
            self._ended = True
            try:
                self._line.end(Result(state="failed", error=in_words(error)))
            except Unavailable as away:
                error.add_note(str(away))
        else:
            self._ended = True
            self._line.hand_back()
