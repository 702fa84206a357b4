"""Reports: results travel back, fenced by (trial, attempt)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ..errors import Conflict, InvalidInput, NotFound
from ..search import stops
from ..store import Transaction
from ..study import (
    Directive,
    EpochCounts,
    Point,
    Rejected,
    Report,
    ReportAnswer,
    ReportRequest,
    Result,
    Study,
    Trial,
)
from ..trajectory import n_intervals
from .leases import Leases
from .standing import mean_metrics, mean_of, seeds_for


class Refused(Exception):
    """One report that is not taken; the others of its batch are."""


class Reports(Leases):
    """Taking in what workers measured."""

    def report(self, lease: str, request: ReportRequest) -> ReportAnswer:
        """Store a batch of reports, renew the lease and top it up.

        An empty batch is the heartbeat. A stale report is refused alone, in ``rejected``.

        Raises:
            NotFound: there never was such a lease.
            Conflict: the lease is lost; ask for a new one.
            InvalidInput: a point names an epoch or seed that the trial does not have.
        """
        with self.store.transaction() as tx:
            row = tx.leases.find(lease)
            if row is None:
                if tx.leases.was(lease):
                    raise Conflict("this lease has ended; drop the work and ask for a new one")
                raise NotFound("there is no such lease")
            directives: list[Directive] = []
            rejected: list[Rejected] = []
            for report in request.reports:
                try:
                    directives += self._take(tx, lease, report)
                except Refused as reason:
                    rejected.append(
                        Rejected(study=report.study, trial=report.trial, attempt=report.attempt, reason=str(reason))
                    )
            directives += self._stop_held(tx, lease)
            hold = row.hold if request.hold is None else request.hold
            expires_at = tx.now() + timedelta(seconds=self.settings.lease_seconds)
            tx.leases.change(lease, hold=hold, expires_at=expires_at)
            tx.workers.seen(row.worker, tx.now())
            known = [self._assignment(tx, tx.studies.get(name), trial) for name, trial in self._unheard(tx, lease)]
            return ReportAnswer(
                expires_at=expires_at,
                assignments=(*known, *self._hand_out(tx, row, hold)),
                directives=tuple(directives),
                rejected=tuple(rejected),
                study_state=self._state_of(tx, row),
            )

    def _unheard(self, tx: Transaction, lease: str) -> list[tuple[str, Trial]]:
        """What the lease holds and has not reported on: repeated, so that a lost answer does no harm."""
        held = tx.trials.held(lease)
        return [(name, trial) for name, trial in held if trial.purpose is not None and trial.heard < trial.attempts]

    def _stop_held(self, tx: Transaction, lease: str) -> list[Directive]:
        """Tell the lease which of its trials were cancelled or paused, and take them from it."""
        directives = []
        for name, trial in tx.trials.held(lease):
            study = tx.studies.find(name)
            paused = study is not None and study.state == "paused"
            if trial.purpose is not None and not paused:
                continue
            changes = {"state": "queued"} if trial.purpose == "trial" else {}
            tx.trials.change(name, trial.number, lease=None, **changes)
            why = "paused" if trial.purpose is not None else "pruned" if trial.state == "pruned" else "cancelled"
            directives.append(Directive(study=name, trial=trial.number, do="stop", why=why))
        return directives

    def _take(self, tx: Transaction, lease: str, report: Report) -> list[Directive]:
        """Store one report; answers what the worker is to do with the trial."""
        study = tx.studies.find(report.study, lock=True)
        if study is None:
            raise Refused("lost: the study was deleted")
        try:
            trial = tx.trials.get(report.study, report.trial)
        except NotFound:
            raise Refused("lost: there is no such trial") from None
        if trial.attempts != report.attempt:
            raise Refused(f"lost: attempt {trial.attempts} is under way")
        if trial.lease != lease or trial.purpose is None:
            return self._already_over(study, trial, report)
        seeds = seeds_for(study, trial)
        points = [placed(study, trial, seeds, point) for point in report.points]
        trial = self._add_points(tx, study, trial, seeds, points)
        if trial.purpose == "trial":
            if (epoch := self._pruned_at(tx, study, trial, seeds)) is not None:
                self._prune(tx, study, trial, epoch)
                return [Directive(study=study.name, trial=trial.number, do="stop", why="pruned")]
            if self._too_long(tx, study, trial):
                error = f"it ran for longer than limits.trial_hours = {study.spec.limits.trial_hours:g}"
                self._end_trial(tx, study, trial, state="failed", error=error)
                self._advance(tx, study)
                return [Directive(study=study.name, trial=trial.number, do="stop", why="failed")]
        if report.result is not None:
            self._finish(tx, study, trial, seeds, report.result)
        return []

    @staticmethod
    def _already_over(study: Study, trial: Trial, report: Report) -> list[Directive]:
        """A report on a trial that this lease no longer holds, though no other attempt has begun."""
        if report.result is not None and trial.state == report.result.state:
            return []
        if trial.state in ("pruned", "cancelled") or study.state == "paused":
            why = "paused" if study.state == "paused" and not trial.terminal else trial.state
            return [Directive(study=study.name, trial=trial.number, do="stop", why=why)]
        if trial.terminal and report.result is None and trial.lease is None:
            return []
        raise Refused("lost: this lease does not hold the trial")

    def _add_points(
        self, tx: Transaction, study: Study, trial: Trial, seeds: Sequence[int], points: Sequence[Point]
    ) -> Trial:
        """Store points and count their epochs; one that was reported by an earlier attempt is a repeated epoch."""
        changes: dict[str, object] = {"heard": trial.attempts}
        if points:
            assert trial.purpose is not None
            self._refuse_gaps(tx, study, trial, points)
            metric = study.spec.objective.metric or ""
            values = [point.metrics.get(metric) for point in points]
            fresh, again = tx.points.add(study.name, trial.number, trial.purpose, trial.attempts, points, values)
            seconds = trial.seconds + sum(p.seconds or 0.0 for p in (*fresh, *again) if not p.shared)
            changes["seconds"] = seconds
            if trial.purpose == "trial":
                counts = trial.epochs
                repeated = sum(not point.shared for point in again)
                changes["epochs"] = EpochCounts(
                    trained=counts.trained + sum(not point.shared for point in fresh) + repeated,
                    shared=counts.shared + sum(point.shared for point in fresh),
                    repeated=counts.repeated + repeated,
                )
                last = list(tx.points.last(study.name, trial.number, purpose="trial", seeds=seeds).values())
                changes["metrics"] = mean_metrics(last)
        if points or trial.heard < trial.attempts:
            tx.trials.change(study.name, trial.number, **changes)
        return trial.model_copy(update=changes)

    @staticmethod
    def _refuse_gaps(tx: Transaction, study: Study, trial: Trial, points: Sequence[Point]) -> None:
        assert trial.purpose is not None
        seeds = sorted({point.seed for point in points if point.seed is not None})
        last = tx.points.last(study.name, trial.number, purpose=trial.purpose, seeds=seeds)
        for seed in seeds:
            before = last[seed].epoch if seed in last else 0
            for point in points:
                if point.seed != seed:
                    continue
                assert before is not None
                assert point.epoch is not None
                if trial.purpose != "test" and point.epoch > before + 1:
                    raise Refused(f"epoch {point.epoch} of seed {seed} was reported before epoch {before + 1}")
                before = max(before, point.epoch)

    def _pruned_at(self, tx: Transaction, study: Study, trial: Trial, seeds: Sequence[int]) -> int | None:
        """The first epoch at which the pruner stops the trial, judged in order of epochs."""
        pruner = study.spec.pruner
        if pruner.name == "none" or trial.origin == "baseline":
            return None
        assert study.spec.window is not None
        by_epoch = tx.points.objective(study.name, trial.number)
        own: list[float | None] = []
        for epoch in range(1, n_intervals(trial.schedule, study.updates_per_epoch)):
            values = by_epoch.get(epoch, {})
            if any(seed not in values for seed in seeds):
                return None
            own.append(mean_of([values[seed] for seed in seeds]))
            before = trial.number - study.spec.window + 1
            others = [value for _, value in tx.points.objective_at(study.name, epoch, before=before)]
            if stops(pruner, study.spec.minimize, own, others):
                return epoch
        return None

    def _prune(self, tx: Transaction, study: Study, trial: Trial, epoch: int) -> None:
        """End a trial at ``epoch``; what it trained beyond does not count."""
        tx.points.cut(study.name, trial.number, after=epoch)
        last = tx.points.last(study.name, trial.number, purpose="trial", seeds=seeds_for(study, trial))
        self._end_trial(tx, study, trial, state="pruned", metrics=mean_metrics(list(last.values())))
        self._advance(tx, study)

    @staticmethod
    def _too_long(tx: Transaction, study: Study, trial: Trial) -> bool:
        hours = study.spec.limits.trial_hours
        return (
            hours is not None and trial.started_at is not None and tx.now() - trial.started_at > timedelta(hours=hours)
        )

    def _finish(self, tx: Transaction, study: Study, trial: Trial, seeds: Sequence[int], result: Result) -> None:
        """Take a result: the trial ends, and the study with it if it was the last."""
        assert trial.purpose is not None
        last = tx.points.last(study.name, trial.number, purpose=trial.purpose, seeds=seeds)
        if trial.purpose != "trial":
            self._close_extra(tx, study, trial, last if result.state == "completed" else {})
        elif result.state == "completed":
            self._complete(tx, study, trial, last, value=result.value)
        else:
            self._end_trial(tx, study, trial, state=result.state, error=result.error, diverged_at=result.diverged_at)
        self._advance(tx, study)

    def _complete(
        self, tx: Transaction, study: Study, trial: Trial, last: dict[int, Point], *, value: float | None
    ) -> None:
        metric = study.spec.objective.metric or ""
        seeds = seeds_for(study, trial)
        if study.spec.external:
            reported = [last[seed].metrics.get(metric) for seed in seeds if seed in last]
            values = [value] if value is not None else reported
        else:
            end = n_intervals(trial.schedule, study.updates_per_epoch)
            missing = [seed for seed in seeds if seed not in last or last[seed].epoch != end]
            if missing:
                raise Refused(f"not complete: seed {missing[0]} has not reported epoch {end}")
            values = [last[seed].metrics.get(metric) for seed in seeds]
            if any(metric not in last[seed].metrics for seed in seeds):
                error = f"the metric `{metric}` was not reported; reported were {', '.join(last[seeds[0]].metrics)}"
                self._end_trial(tx, study, trial, state="failed", error=error)
                return
        mean = mean_of(values)
        if mean is None and not values:
            error = f"it ended without reporting the metric `{metric}`"
            self._end_trial(tx, study, trial, state="failed", error=error)
        elif mean is None:
            self._end_trial(tx, study, trial, state="diverged", values=tuple(values))
        else:
            self._end_trial(tx, study, trial, state="completed", value=mean, values=tuple(values))


def placed(study: Study, trial: Trial, seeds: Sequence[int], point: Point) -> Point:
    """``point`` with its seed and epoch filled in.

    Raises:
        InvalidInput: it belongs to no seed or epoch of the trial.
    """
    end = n_intervals(trial.schedule, study.updates_per_epoch)
    seed, epoch, update = point.seed, point.epoch, point.update
    if seed is None and len(seeds) == 1:
        seed = seeds[0]
    if seed not in seeds:
        raise InvalidInput(f"a point of trial {trial.number} has a `seed` among {seeds} (got {seed})", field="seed")
    interval = study.spec.eval_every
    if epoch is None and update is not None and interval is not None:
        epoch = end if update == study.spec.updates else update // interval
        if update % interval and update != study.spec.updates:
            raise InvalidInput(f"reports come every {interval} updates (got update {update})", field="update")
    if epoch is None or epoch > end:
        raise InvalidInput(
            f"a point of trial {trial.number} has an `epoch` from 1 to {end} (got {epoch})", field="epoch"
        )
    if interval is not None and study.spec.updates is not None:
        update = min(epoch * interval, study.spec.updates)
    return point.model_copy(update={"seed": seed, "epoch": epoch, "update": update})
