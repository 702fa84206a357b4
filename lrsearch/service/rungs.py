"""Rungs in the service: who waits, who goes on, and how their workers are told."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from ..search import Rungs, Wanted, falls_behind, ladder
from ..store import HeldTrial, Stand, Transaction
from ..study import TERMINAL, Directive, Outcome, Point, RungPruner, Study, Trial, mean_of
from ..trajectory import n_intervals
from .budgets import Budgets
from .isolation import blaming

MOST_AHEAD = 256
"""At most so many arrivals of a rung are asked for at once."""


class Climbing(Budgets):
    """Trials that wait at rungs.

    The pipeline of ``lrsearch.search.Rungs`` is kept in memory and fed from the store, which alone is the truth: after
    a restart, or where another service has stored something, it is brought forward by what the store holds, and comes
    to the same decisions.
    """

    def _until(self, tx: Transaction, study: Study, trial: Trial) -> int:
        """The reporting intervals to which a trial's open work goes for now: its next rung, or its end."""
        if trial.purpose == "test" and trial.stopped_at is not None:
            return trial.stopped_at
        if study.spec.rungs is None or trial.purpose != "trial":
            return n_intervals(trial.schedule, study.updates_per_epoch)
        rungs = self._rungs(tx, study)
        if trial.let_on:
            rungs.let_on(trial.number)
        return rungs.until(trial.number)

    def _rungs(self, tx: Transaction, study: Study) -> Rungs:
        """The study's rungs, with every trial that has begun; called under the study's lock only."""
        pruner = study.spec.rungs
        assert pruner is not None
        warm = self._sampler(study)
        if warm.rungs is not None and warm.begun_at == (tx, tx.trials.n_writes):
            return warm.rungs
        more = self._more_to_suggest(tx, study)
        new = tx.trials.begun(study.name, start=0 if warm.rungs is None else len(warm.rungs))
        if warm.rungs is not None and warm.rungs.closed and (more or new):
            # a larger budget: what followed from the end of arrivals is not what follows now
            warm.rungs = None
            return self._rungs(tx, study)
        fresh = warm.rungs is None
        rungs = warm.rungs = warm.rungs or Rungs(pruner.reduction_factor, study.spec.minimize)
        epochs: set[int] = set()
        for number, origin, schedule in new:
            its = ladder(pruner, number, schedule, study.updates_per_epoch)
            epochs.update(its.epochs)
            rungs.begin(its, n_intervals(schedule, study.updates_per_epoch), spared=origin == "baseline")
        if not more:
            rungs.close()
        if fresh:
            stands = self._tell_all(tx, study, rungs, epochs)
            warm.promoted = rungs.advance()
            for number, stand in stands.items():
                stands_beyond = 0 < rungs.until(number) * study.spec.n_seeds <= stand.epochs
                if stands_beyond and stand.state in ("running", "queued"):
                    # promoted when no more trials were to begin, and now more are
                    rungs.let_on(number)
                    tx.trials.change(study.name, number, let_on=True)
        warm.begun_at = (tx, tx.trials.n_writes)
        return rungs

    @staticmethod
    def _tell_all(tx: Transaction, study: Study, rungs: Rungs, epochs: Iterable[int]) -> Mapping[int, Stand]:
        """Tell new rungs what the store knows; answers how far all trials are."""
        for (number, epoch), values in tx.trials.values_at(study.name, epochs).items():
            if len(values) == study.spec.n_seeds:
                rungs.tell(number, epoch, mean_of(values))
        stands = tx.trials.stands(study.name)
        for number, stand in stands.items():
            if stand.state in TERMINAL:
                rungs.end(number, stand.state, stand.value, epochs=stand.epochs / study.spec.n_seeds)
        return stands

    def _decide(self, tx: Transaction, study: Study) -> None:
        """Take the arrivals that the store holds, let go on whoever is promoted, and prune where nobody will be."""
        if study.spec.rungs is None or study.state != "running":
            return
        warm = self._sampler(study)
        rungs = self._rungs(tx, study)
        warm.promoted += rungs.advance()
        ahead = 1  # an arrival that is there is followed by others: as many are asked for as have come
        while (wanted := rungs.wanted(ahead)) and self._tell_news(tx, study, rungs, wanted):
            warm.promoted += rungs.advance()
            if rungs.wanted(ahead) == wanted:
                break  # what is known of them lets nobody move yet
            ahead = min(2 * ahead, MOST_AHEAD)
        self._let_go_on(tx, study, rungs, list(dict.fromkeys(warm.promoted)))
        warm.promoted = []
        if rungs.finished:
            tx.trials.prune_waiting(study.name, tx.now())

    @staticmethod
    def _tell_news(tx: Transaction, study: Study, rungs: Rungs, wanted: Sequence[Wanted]) -> bool:
        """Tell what the store knows of the trials that are waited for; whether it was anything."""
        n_seeds = study.spec.n_seeds
        stands = tx.trials.stands(study.name, [number for number, _ in wanted])
        ended = [number for number, stand in stands.items() if stand.state in TERMINAL]
        asked = {(number, epoch) for number, epoch in wanted if stands[number].epochs >= epoch * n_seeds}
        asked |= {(number, epoch) for number in ended for epoch in rungs.epochs(number)}
        known = {}
        if asked:
            epochs, numbers = {epoch for _, epoch in asked}, sorted({number for number, _ in asked})
            known = tx.trials.values_at(study.name, epochs, numbers)
        told = [key for key in sorted(asked) if len(known.get(key, ())) == n_seeds]
        for number, epoch in told:
            rungs.tell(number, epoch, mean_of(known[number, epoch]))
        for number in ended:
            stand = stands[number]
            rungs.end(number, stand.state, stand.value, epochs=stand.epochs / n_seeds)
        return bool(ended or any(epoch in rungs.epochs(number) for number, epoch in told))

    @staticmethod
    def _let_go_on(tx: Transaction, study: Study, rungs: Rungs, promoted: Sequence[int]) -> None:
        """Promoted trials run again with the lease that holds them, or are handed out anew where there is none."""
        stands = tx.trials.stands(study.name, promoted)
        n_seeds = study.spec.n_seeds
        going = [
            number
            for number in promoted
            if stands[number].state == "waiting" and stands[number].epochs < rungs.until(number) * n_seeds
        ]
        if going:
            trials = tx.trials.some(study.name, going)
            states = {number: "queued" if trial.lease is None else "running" for number, trial in trials.items()}
            changes = [(trials[number], {"state": states[number], "promoted_at": tx.now()}) for number in going]
            tx.trials.change_all(study.name, changes)

    def _at_rung(self, tx: Transaction, study: Study, trial: Trial, last: Mapping[int, Point]) -> dict[str, Any] | None:
        """How a trial changes that has come to where it waits; ``last`` is each seed's newest point."""
        if study.spec.rungs is None or trial.purpose != "trial":
            return None
        until, metric = self._until(tx, study, trial), study.spec.objective.metric or ""
        if until == n_intervals(trial.schedule, study.updates_per_epoch):
            return None
        newest = [last.get(seed) for seed in study.spec.seeds()]
        if any(point is None or (point.epoch or 0) < until for point in newest):
            return None
        if any(point is not None and metric not in point.metrics for point in newest):
            return {"state": "failed", "error": f"the metric `{metric}` was not reported at epoch {until}"}
        return {"state": "waiting"}

    @staticmethod
    def _falls_behind(tx: Transaction, study: Study, trial: Trial, at: tuple[int, float | None], before: int) -> bool:
        """Whether a rung stops an external trial for good.

        ``at`` is the epoch and the trial's value there; it is compared with the trials numbered below ``before``.
        """
        epoch, own = at
        pruner = study.spec.pruner
        assert isinstance(pruner, RungPruner)
        its = ladder(pruner, trial.number, trial.schedule, study.updates_per_epoch)
        if epoch not in its.epochs:
            return False
        rungs: dict[int, int] = {}
        for number, _, schedule in tx.trials.begun(study.name, start=0):
            if number < before:
                theirs = ladder(pruner, number, schedule, study.updates_per_epoch)
                if theirs.bracket == its.bracket:
                    rungs[number] = theirs.epochs[its.epochs.index(epoch)]
        values = tx.trials.values_at(study.name, rungs.values(), list(rungs))
        stands = tx.trials.stands(study.name, list(rungs))
        others = [
            mean_of(values.get(place, (None,)))
            for place in rungs.items()
            if place in values or stands[place[0]].state == "diverged"
        ]
        return falls_behind(pruner, study.spec.minimize, own, others)

    def _rung_directives(
        self, tx: Transaction, held: Sequence[HeldTrial], reported: Container[tuple[str, int]]
    ) -> list[Directive]:
        """What a lease is to do with its trials that have come to a rung.

        ``wait`` answers the report that brought a trial there; ``continue`` is repeated until the trial has reported
        an epoch beyond the rung, so that a lost answer does no harm.
        """
        directives = []
        for trial in held:
            with blaming(trial.study):
                study = tx.studies.get(trial.study)
                if study.spec.rungs is None or trial.purpose != "trial" or trial.heard < trial.attempts:
                    continue
                rungs = self._rungs(tx, study)
            epoch = trial.epochs / study.spec.n_seeds
            if trial.state == "waiting" and (trial.study, trial.number) in reported:
                why = f"at the rung of {epoch:g} epochs"
                directives.append(Directive(study=trial.study, trial=trial.number, do="wait", why=why))
            elif trial.state == "running" and rungs.is_past(trial.number, epoch):
                until = rungs.until(trial.number)
                promoted = Directive(
                    study=trial.study, trial=trial.number, do="continue", why="promoted", until_epoch=until
                )
                directives.append(promoted)
        return directives

    def _shown(self, tx: Transaction, study: Study, history: list[Outcome]) -> list[Outcome] | None:
        """The history as the next suggestion sees it; None while what it depends on is not known yet."""
        number = len(history)
        if study.spec.rungs is None:
            return history if self._sampler(study).suggester.can_suggest(number, history) else None
        if study.spec.window is None:
            return history
        last = number - study.spec.window
        rungs = self._rungs(tx, study)
        return rungs.seen(history, last) if last < 0 or rungs.settled(last) else None
