"""Reports: results travel back, fenced by (trial, attempt)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from ..errors import Conflict, NotFound
from ..search import stops
from ..store import Arrival, HeldTrial, LeaseRow, Transaction
from ..study import (
    Assignment,
    Directive,
    MedianPruner,
    Point,
    Rejected,
    Report,
    ReportAnswer,
    ReportRequest,
    Result,
    Study,
    Trial,
    mean_metrics,
    mean_of,
)
from ..trajectory import n_intervals
from .curves import end_of_curve, newest, stop_epoch
from .isolation import blaming, isolating
from .leases import Leases, may_train
from .news import News, Refused, changed, completion, follow, placed, rounds, unstoppable
from .repeats import trained_again
from .standing import ended, seeds_for

MAX_WARNINGS = 20
"""A study has no more, whatever its workers say."""


class Reports(Leases):
    """Taking in what workers measured."""

    @isolating
    def report(self, lease: str, request: ReportRequest) -> ReportAnswer:
        """Store a batch of reports, renew the lease and top it up.

        An empty batch is the heartbeat. A stale report is refused alone, in ``rejected``.

        Raises:
            NotFound: there never was such a lease, or it is somebody else's.
            Conflict: the lease is lost; ask for a new one.
            InvalidInput: a point names an epoch or seed that the trial does not have.
        """
        self._here.suggestion = 0.0
        with self._writing(rings=False) as tx:
            row = tx.leases.find(lease)
            if row is None:
                if tx.leases.was(lease):
                    raise Conflict("this lease has ended; drop the work and ask for a new one")
                raise NotFound("there is no such lease")
            self._require_holder(row)
            directives: list[Directive] = []
            rejected: list[Rejected] = []
            sweep = self._held_range_test(tx, row)
            for name, reports in rounds(request.reports):
                if sweep is not None and name == sweep.name:
                    told, refused = self._take_range_test(tx, sweep, list(reports))
                else:
                    with blaming(name):
                        told, refused = self._take(tx, lease, name, reports)
                directives += told
                rejected += refused
            numbers: dict[str, list[int]] = {}
            for report in request.reports:
                numbers.setdefault(report.study, []).append(report.trial)
            held = tx.trials.held_at_work(lease, numbers)
            stopped = self._stop_overdue(tx, held)
            if stopped:  # their study may have ended with them, and so have its other trials
                held = tx.trials.held_at_work(lease, numbers)
            stopped += self._stop_held(tx, held)
            directives += stopped
            gone = {(directive.study, directive.trial) for directive in stopped}
            kept = [trial for trial in held if (trial.study, trial.number) not in gone]
            reported = {(report.study, report.trial) for report in request.reports}
            directives += self._rung_directives(tx, kept, reported)
            hold = row.hold if request.hold is None else request.hold
            busy = [trial for trial in kept if trial.state != "waiting"]
            repeated, stop = self._sweep_again(tx, row, sweep)
            directives += stop
            holds = tx.trials.holds(lease)
            fresh, recipe = self._hand_out(
                tx,
                row,
                0 if repeated else hold - len(busy),
                after=numbers,
                recipe=row.recipe if holds or repeated else "",
            )
            if holds and not (busy or fresh):
                fresh, recipe, parted = self._change_recipe(tx, row, hold)
                directives += parted
            row = self._renewed(tx, row, hold, recipe)
            return ReportAnswer(
                expires_at=row.expires_at,
                assignments=(*repeated, *self._unheard(tx, kept), *fresh),
                directives=tuple(directives),
                rejected=tuple(rejected),
                study_state=self._state_of(tx, row),
            )

    def _change_recipe(
        self, tx: Transaction, row: LeaseRow, hold: int
    ) -> tuple[list[Assignment], str, list[Directive]]:
        """A lease whose trials all wait may work on another recipe: it parts with them then."""
        fresh, recipe = self._hand_out(tx, row, hold)
        if not fresh:
            return [], row.recipe, []
        waiting = [trial for trial in tx.trials.held(row.lease) if trial.state == "waiting"]
        for trial in waiting:
            tx.trials.change(trial.study, trial.number, lease=None)
        why = "its worker goes on with another recipe"
        return fresh, recipe, [Directive(study=it.study, trial=it.number, do="stop", why=why) for it in waiting]

    def _renewed(self, tx: Transaction, row: LeaseRow, hold: int, recipe: str) -> LeaseRow:
        """The lease with its time renewed; written only where it changes or a tenth of its time has gone."""
        length = timedelta(seconds=self.settings.lease_seconds)
        if (hold, recipe) == (row.hold, row.recipe) and row.expires_at - tx.now() > 0.9 * length:
            return row
        new: dict[str, Any] = {"hold": hold, "recipe": recipe, "expires_at": tx.now() + length}
        tx.leases.change(row.lease, **new)
        tx.workers.seen(row.worker, tx.now())
        return dataclasses.replace(row, **new)

    def _unheard(self, tx: Transaction, held: Sequence[HeldTrial]) -> list[Assignment]:
        """What a lease holds and has not reported on: repeated, so that a lost answer does no harm."""
        unheard: dict[str, list[int]] = {}
        for trial in held:
            if trial.heard < trial.attempts:
                unheard.setdefault(trial.study, []).append(trial.number)
        again: list[Assignment] = []
        for name, numbers in unheard.items():
            with blaming(name):
                study = tx.studies.get(name)
                again += [self._assignment(tx, study, trial) for trial in tx.trials.some(name, numbers).values()]
        return again

    def _stop_overdue(self, tx: Transaction, held: Sequence[HeldTrial]) -> list[Directive]:
        """End the trials of a lease that run for longer than their study's limits allow."""
        directives: list[Directive] = []
        for trial in held:
            begun = trial.heard == trial.attempts or len(held) == 1  # of many, most may wait for their turn
            if not begun or trial.purpose != "trial":
                continue
            with blaming(trial.study):
                if (study := tx.studies.get(trial.study)).state == "running":
                    directives += self._stop_long(tx, study, trial)
        return directives

    def _stop_held(self, tx: Transaction, held: Sequence[HeldTrial]) -> list[Directive]:
        """Tell a lease which of its trials were cancelled or paused, and take them from it."""
        directives = []
        for trial in held:
            with blaming(trial.study):
                study = tx.studies.get(trial.study)
            if trial.purpose is not None and study.state != "paused":
                continue
            self._ring()
            changes = {"state": "queued"} if trial.state == "running" and trial.purpose == "trial" else {}
            tx.trials.change(trial.study, trial.number, lease=None, **changes)
            why = "paused" if trial.purpose is not None else "pruned" if trial.state == "pruned" else "cancelled"
            directives.append(Directive(study=trial.study, trial=trial.number, do="stop", why=why))
        return directives

    def _take(
        self, tx: Transaction, lease: str, name: str, reports: Sequence[Report]
    ) -> tuple[list[Directive], list[Rejected]]:
        """Store reports on several trials of one study; answers what the worker is to do, and what was not taken."""
        directives: list[Directive] = []
        rejected: list[Rejected] = []
        study = tx.studies.find(name, lock=True)
        refused = "lost: the study was deleted"
        if study is not None and not may_train(study):
            study, refused = None, "not allowed: this study is somebody else's to train"
        if study is not None:
            study = self._noted(tx, self._timed(tx, study, reports), reports)
            if study.spec.rungs is not None:
                self._rungs(tx, study)  # it may change trials, which are read after it
        trials = tx.trials.some(name, [report.trial for report in reports]) if study is not None else {}
        taken: list[News] = []
        for report in reports:
            try:
                if study is None:
                    raise Refused(refused)
                news = self._in_order(tx, lease, study, trials.get(report.trial), report)
            except Refused as reason:
                rejected.append(Rejected(study=name, trial=report.trial, attempt=report.attempt, reason=str(reason)))
            else:
                if isinstance(news, News):
                    taken.append(news)
                else:
                    directives += news
        if study is not None and taken:
            directives += self._store(tx, study, taken)
        return directives, rejected

    @staticmethod
    def _timed(tx: Transaction, study: Study, reports: Sequence[Report]) -> Study:
        """The study with the shortest time of an update that its workers have measured."""
        known = study.update_seconds
        fastest = min((r.update_seconds for r in reports if r.update_seconds is not None), default=known)
        if fastest is None or (known is not None and fastest >= known):
            return study
        return tx.studies.change(study.name, update_seconds=fastest)

    @staticmethod
    def _noted(tx: Transaction, study: Study, reports: Sequence[Report]) -> Study:
        """The study with what its workers have to say of how it is trained among its warnings, each but once."""
        notes = dict.fromkeys(report.note for report in reports if report.note is not None)
        new = tuple(note for note in notes if note not in study.warnings)
        if not new or len(study.warnings) + len(new) > MAX_WARNINGS:
            return study
        return tx.studies.change(study.name, warnings=(*study.warnings, *new))

    def _in_order(
        self, tx: Transaction, lease: str, study: Study, trial: Trial | None, report: Report
    ) -> News | list[Directive]:
        """A report as news; or what the worker is to do, where the trial is over.

        Raises:
            Refused: it comes from a lost attempt, or leaves something out.
        """
        if trial is None:
            raise Refused("lost: there is no such trial")
        if trial.attempts != report.attempt:
            raise Refused(f"lost: the trial is at attempt {trial.attempts}")
        if trial.lease != lease or trial.purpose is None:
            return self._already_over(tx, study, trial, report)
        seeds = seeds_for(study, trial)
        end = n_intervals(trial.schedule, study.updates_per_epoch)
        points = [placed(study, trial, seeds, end, point) for point in report.points]
        if study.spec.rungs is not None and points:
            until, furthest = self._until(tx, study, trial), max(point.epoch or 0 for point in points)
            if furthest > until:
                raise Refused(f"epoch {furthest} lies beyond until_epoch = {until}")
        last = newest(tx, study, trial, seeds)
        before = {seed: last[seed].epoch or 0 if seed in last else 0 for seed in seeds}
        new = all((point.epoch or 0) > before[point.seed or 0] for point in points)
        result = report.result
        if (fault := unstoppable(study, trial, points)) is not None:
            result = Result(state="failed", error=fault)
        stopped_at = stop_epoch(tx, study, trial, seeds, points)
        if stopped_at is not None:  # what was trained beyond is no part of the trial
            points = [point for point in points if (point.epoch or 0) <= stopped_at]
            value = None if result is None else result.value
            checkpoint = None if result is None else result.checkpoint
            result = Result(state="completed", value=value, checkpoint=checkpoint)
        follow(trial, points, last)
        ends_at = end_of_curve(tx, study, trial, seeds, points, last=last, result=result, stopped_at=stopped_at)
        ending = self._ending(study, trial, result, last, stopped_at)
        surprised = result is not None and report.result is None
        return News(trial, result, seeds, points, last, min(before.values()), new, ending, surprised, ends_at)

    def _store(self, tx: Transaction, study: Study, taken: Sequence[News]) -> list[Directive]:
        """Store what is in order, and what follows from it for the trials and their study."""
        metric = study.spec.objective.metric or ""
        arrivals = [
            Arrival(
                number=news.trial.number,
                purpose=news.trial.purpose or "trial",
                attempt=news.trial.attempts,
                points=news.points,
                values=[point.metrics.get(metric) for point in news.points],
                new=news.new,
            )
            for news in taken
        ]
        stored = tx.points.add(study.name, arrivals)
        elsewhere = trained_again(tx, study, taken, stored)
        changes = [
            changed(news, added, n_again, tx.now())
            for news, added, n_again in zip(taken, stored, elsewhere, strict=True)
        ]
        directives = []
        for news, itself in zip(taken, changes, strict=True):
            ending = news.ending
            if news.ends_at is not None:
                tx.points.cut(study.name, news.trial.number, after=news.ends_at)
                itself["metrics"] = mean_metrics(list(news.last.values()))
            if news.trial.purpose == "trial" and (epoch := self._pruned_at(tx, study, news)) is not None:
                tx.points.cut(study.name, news.trial.number, after=epoch)
                last = tx.points.last(study.name, news.trial.number, purpose="trial", seeds=news.seeds)
                ending = {"state": "pruned", "metrics": mean_metrics(list(last.values()))}
                directives.append(Directive(study=study.name, trial=news.trial.number, do="stop", why="pruned"))
            elif news.told_to_stop:
                why = "stopped early" if news.result and news.result.state == "completed" else "failed"
                directives.append(Directive(study=study.name, trial=news.trial.number, do="stop", why=why))
            if ending is None and (arrival := self._at_rung(tx, study, news.trial, news.last)) is not None:
                if arrival["state"] == "waiting":
                    itself.update(arrival)
                else:
                    ending = arrival
                    directives.append(Directive(study=study.name, trial=news.trial.number, do="stop", why="failed"))
            if ending is not None:
                itself.update(ended(tx) | ending)
        tx.trials.change_all(study.name, zip([news.trial for news in taken], changes, strict=True))
        for news in taken:
            if news.result is not None and news.trial.purpose != "trial":
                self._close_extra(tx, study, news.trial, news.last if news.result.state == "completed" else {})
        states = [change["state"] for change in changes if "state" in change]
        if states:
            self._ring()
        self._after_endings(tx, study, states)
        return directives

    @staticmethod
    def _already_over(tx: Transaction, study: Study, trial: Trial, report: Report) -> list[Directive]:
        """A report on a trial that this lease no longer holds, though no other attempt has begun."""
        if report.result is not None and trial.state == report.result.state:
            if report.result.checkpoint is not None and trial.checkpoint is None:
                tx.trials.change(study.name, trial, checkpoint=report.result.checkpoint)
            return []
        if trial.state in ("pruned", "cancelled") or study.state == "paused":
            why = "paused" if study.state == "paused" and not trial.terminal else trial.state
            return [Directive(study=study.name, trial=trial.number, do="stop", why=why)]
        if trial.terminal and report.result is None and trial.lease is None:
            how = "stopped early" if trial.state == "completed" else trial.state
            return [Directive(study=study.name, trial=trial.number, do="stop", why=how)]
        if report.result is not None and report.result.state == "completed" and trial.state in ("diverged", "failed"):
            return []  # what the same report was taken for when it first came
        raise Refused("lost: this lease does not hold the trial")

    def _pruned_at(self, tx: Transaction, study: Study, news: News) -> int | None:
        """The first epoch not judged before at which the pruner stops the trial, in order of epochs."""
        spec, trial = study.spec, news.trial
        if not spec.stops_for_good or trial.origin == "baseline":
            return None
        assert spec.window is not None
        before = trial.number - spec.window + 1
        by_epoch = tx.points.objective(study.name, trial.number)
        own: list[float | None] = []
        stopped_at = None if news.ending is None else news.ending.get("stopped_at")
        for epoch in range(1, stopped_at or n_intervals(trial.schedule, study.updates_per_epoch)):
            values = by_epoch.get(epoch, {})
            if any(seed not in values for seed in news.seeds):
                return None
            own.append(mean_of([values[seed] for seed in news.seeds]))
            if epoch <= news.done:
                continue
            if isinstance(spec.pruner, MedianPruner):
                others = [value for _, value in tx.points.objective_at(study.name, epoch, before=before)]
                if stops(spec.pruner, spec.minimize, own, others):
                    return epoch
            elif self._falls_behind(tx, study, trial, (epoch, own[-1]), before):
                return epoch
        return None

    def _stop_long(self, tx: Transaction, study: Study, trial: HeldTrial) -> list[Directive]:
        """End a trial that runs for longer than the study's limits allow, even if its worker only says it is alive."""
        hours = study.spec.limits.trial_hours
        if hours is None or trial.started_at is None or tx.now() - trial.started_at <= timedelta(hours=hours):
            return []
        whole = tx.trials.get(study.name, trial.number)
        # neither a rung's nor a pause's hours were hours of work
        since = max(moment for moment in (trial.started_at, whole.handed_at, whole.promoted_at) if moment is not None)
        if tx.now() - since <= timedelta(hours=hours):
            return []
        error = f"it ran for longer than limits.trial_hours = {hours:g}"
        self._end_trial(tx, study, whole, state="failed", error=error)
        return [Directive(study=study.name, trial=trial.number, do="stop", why="failed")]

    @staticmethod
    def _ending(
        study: Study, trial: Trial, result: Result | None, last: Mapping[int, Point], stopped_at: int | None
    ) -> dict[str, Any] | None:
        """How a result ends a trial; None while there is no result, or where it ends other work than the trial."""
        if result is None or trial.purpose != "trial":
            return None
        if result.state == "completed":
            ending = completion(study, trial, last, result.value, stopped_at)
            return ending | ({"checkpoint": result.checkpoint} if ending["state"] == "completed" else {})
        return {"state": result.state, "error": result.error, "diverged_at": result.diverged_at}
