"""Losses: what becomes of the trials whose workers fell silent, and of studies that cannot be served."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from ..store import LeaseRow, Transaction
from ..study import ENDED, Study, Trial
from .dealing import Dealing
from .isolation import StudyBroken, blaming, isolating

LOST_TOO_OFTEN = "the workers that held it were lost {times} times; the last one was {worker}"
DEADLY = (
    "{times} workers that trained nothing else were lost within {seconds:g} seconds of getting it, the last one was "
    "{worker}: it seems to end whoever trains it (out of memory, or a crash below Python); their logs may tell, and "
    "`retry` trains it again"
)
BROKEN = "the service could not go on with this study ({error}); its log has the whole story"
MOST_CHARACTERS = 500
SUSPECT_LOST = 2
"""A trial whose workers were lost so often is trained alone: it may be what ends them; others must not pay for it."""
MAX_KILLED = 2
"""A trial that ended so many workers soon after they got it, and that they alone had, is given up."""

log = logging.getLogger("lrsearch.service")


class Losses(Dealing):
    """Ending leases, with a word and without.

    A lost worker is no failed trial: the trial is queued again and nothing is counted against its study.
    """

    def was_away(self) -> None:
        """Workers could not be heard until now, as the service was not there: none of them loses anything for that."""
        self._hearing.broke()

    @isolating
    def reap(self) -> None:
        """Hand back what silent workers hold. Called four times a lease where workers come from elsewhere."""
        with self._writing() as tx:
            self._reap(tx, beat=True)
            tx.workers.forget()

    def _reap(self, tx: Transaction, *, beat: bool = False) -> None:
        if not self._hearing.counts(tx.now(), beat=beat):
            return
        for row in tx.leases.expired(tx.now()):
            self.counts["leases_expired"] += 1
            self._let_go_range_test(tx, row, lost=True)
            self._end_lease(tx, row, lost=lambda trial: True)

    def _take_over(self, tx: Transaction, old: LeaseRow) -> list[tuple[str, int]]:
        """End a worker's earlier lease: it began anew, unless it only repeats a call that was just answered."""
        silent = self._hearing.silence(self._heard_at(old), tx.now())
        begun_anew = silent > timedelta(seconds=self.settings.heartbeat_seconds)
        self._let_go_range_test(tx, old, lost=begun_anew)
        return self._end_lease(tx, old, lost=lambda trial: begun_anew or trial.heard == trial.attempts)

    def _end_lease(
        self, tx: Transaction, row: LeaseRow, *, lost: Callable[[Trial], bool] = lambda trial: False
    ) -> list[tuple[str, int]]:
        """End a lease and queue what it held; a trial whose workers were ``lost`` too often fails."""
        held = tx.trials.let_go(row.lease)
        tx.leases.delete(row.lease)
        if held:
            self._ring()
        trials = []
        for name, number in held:
            with blaming(name):
                trials.append((name, tx.trials.get(name, number)))
        at_work = [(name, trial) for name, trial in trials if trial.purpose is not None and trial.state != "waiting"]
        heard_at = self._heard_at(row)
        for name, trial in at_work:
            if lost(trial) and self._hearing.heard(heard_at):  # what an outage ended is nobody's loss
                if tx.trials.get(name, trial.number).purpose is None:
                    continue  # an earlier one of them, given up, has ended their study
                with blaming(name):
                    self._count_loss(tx, name, trial, killed=len(at_work) == 1 and self._soon(trial, heard_at))
        return held

    def _count_loss(self, tx: Transaction, name: str, trial: Trial, *, killed: bool) -> None:
        trial = trial.model_copy(update={"lost": trial.lost + 1, "killed": trial.killed + killed})
        self.counts["trials_lost"] += 1
        tx.trials.change(name, trial.number, lost=trial.lost, killed=trial.killed)
        if trial.killed >= MAX_KILLED:
            seconds = self.settings.poison_seconds
            error = DEADLY.format(times=trial.killed, seconds=seconds, worker=trial.worker)
        elif trial.lost >= self.settings.max_lost:
            error = LOST_TOO_OFTEN.format(times=trial.lost, worker=trial.worker)
        else:
            return
        self._give_up(tx, tx.studies.get(name, lock=True), trial, error)

    def _give_up(self, tx: Transaction, study: Study, trial: Trial, error: str) -> None:
        """A trial that nobody is given any more: failed, or unconfirmed."""
        if trial.purpose == "trial":
            self._end_trial(tx, study, trial, state="failed", error=error)
        else:
            self._close_extra(tx, study, trial, {})

    def _end_broken(self, broken: StudyBroken) -> None:
        """End it as failed, and its leases, as nobody can say what they held of it.

        Raises what had been raised, where it has ended already: then it was not the study's.
        """
        error = broken.__cause__ or broken
        name = broken.study
        log.error("study `%s` is given up", name, exc_info=error)
        with self._writing() as tx:
            state = tx.studies.state_of(name)
            if state is None:
                return  # it was deleted meanwhile
            if state in ENDED:
                raise error
            self._end_leases_on(tx, name)
            said = f"{type(error).__name__}: {error}"[:MOST_CHARACTERS]
            try:
                with blaming(name):
                    study = tx.studies.get(name, lock=True)
            except StudyBroken:  # its own row: nothing can be written into it
                tx.trials.cancel_open(name, tx.now())
                comparison = tx.studies.fail_unread(name)
                self._forget(name)
                if comparison is not None:
                    self._advance_comparison(tx, comparison)
            else:
                self._end(tx, study, "failed", BROKEN.format(error=said))

    def _heard_at(self, row: LeaseRow) -> datetime:
        """When a lease's worker was last heard, to a tenth of a lease: it is renewed no more often."""
        return row.expires_at - timedelta(seconds=self.settings.lease_seconds)

    def _soon(self, trial: Trial, heard_at: datetime) -> bool:
        """Whether a worker last heard at ``heard_at`` had just got the trial."""
        had = trial.handed_at
        return had is not None and heard_at - had < timedelta(seconds=self.settings.poison_seconds)


def suspected(trials: Iterable[Trial]) -> list[int]:
    """The numbers of the trials that may be what ends their workers."""
    return sorted(trial.number for trial in trials if trial.lost >= SUSPECT_LOST)
