"""Reports: results travel back, fenced by (trial, attempt)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from ..errors import Conflict, InvalidInput, NotFound
from ..search import stops
from ..store import LeaseRow, Transaction
from ..study import (
    Assignment,
    Directive,
    EpochCounts,
    MedianPruner,
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

Held = Sequence[tuple[str, Trial]]
"""What a lease holds: the study's name and the trial."""


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
        self._here.suggestion = 0.0
        with self._writing() as tx:
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
            held = tx.trials.held(lease)
            studies = {name: tx.studies.find(name) for name in {name for name, _ in held}}
            stopped = self._stop_held(tx, held, studies)
            directives += stopped
            told = {(directive.study, directive.trial) for directive in stopped}
            kept = [(name, trial) for name, trial in held if (name, trial.number) not in told]
            hold = row.hold if request.hold is None else request.hold
            fresh, recipe = self._hand_out(tx, row, hold - len(kept), recipe=row.recipe if kept else "")
            row = self._renewed(tx, row, hold, recipe)
            return ReportAnswer(
                expires_at=row.expires_at,
                assignments=(*self._unheard(tx, kept, studies), *fresh),
                directives=tuple(directives),
                rejected=tuple(rejected),
                study_state=self._state_of(tx, row),
            )

    def _renewed(self, tx: Transaction, row: LeaseRow, hold: int, recipe: str) -> LeaseRow:
        """The lease with its time renewed; written only where it changes or a tenth of its time has gone."""
        length = timedelta(seconds=self.settings.lease_seconds)
        if (hold, recipe) == (row.hold, row.recipe) and row.expires_at - tx.now() > 0.9 * length:
            return row
        new: dict[str, Any] = {"hold": hold, "recipe": recipe, "expires_at": tx.now() + length}
        tx.leases.change(row.lease, **new)
        tx.workers.seen(row.worker, tx.now())
        return dataclasses.replace(row, **new)

    def _unheard(self, tx: Transaction, held: Held, studies: Mapping[str, Study | None]) -> list[Assignment]:
        """What a lease holds and has not reported on: repeated, so that a lost answer does no harm."""
        return [
            self._assignment(tx, study, trial)
            for name, trial in held
            if trial.heard < trial.attempts and (study := studies[name]) is not None
        ]

    def _stop_held(self, tx: Transaction, held: Held, studies: Mapping[str, Study | None]) -> list[Directive]:
        """Tell a lease which of its trials were cancelled or paused, and take them from it."""
        directives = []
        for name, trial in held:
            study = studies[name]
            paused = study is not None and study.state == "paused"
            if study is not None and study.state == "running" and trial.purpose == "trial":
                directives += self._stop_long(tx, study, trial)
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
        last = self._last(tx, study, trial, seeds)
        done = min((last[seed].epoch or 0 if seed in last else 0) for seed in seeds)
        follow(trial, points, last)
        ending = self._ending(study, trial, report.result, last)
        changes = self._add_points(tx, study, trial, points, last)
        if trial.purpose == "trial" and (epoch := self._pruned_at(tx, study, trial, seeds, done)) is not None:
            tx.points.cut(study.name, trial.number, after=epoch)
            last = tx.points.last(study.name, trial.number, purpose="trial", seeds=seeds)
            changes["metrics"] = mean_metrics(list(last.values()))
            self._end_trial(tx, study, trial, state="pruned", **changes)
            return [Directive(study=study.name, trial=trial.number, do="stop", why="pruned")]
        if report.result is not None:
            if ending is None and changes:
                tx.trials.change(study.name, trial, **changes)
            if ending is None:
                self._close_extra(tx, study, trial, last if report.result.state == "completed" else {})
            else:
                self._end_trial(tx, study, trial, **(changes | ending))
        elif changes:
            tx.trials.change(study.name, trial, **changes)
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

    @staticmethod
    def _last(tx: Transaction, study: Study, trial: Trial, seeds: Sequence[int]) -> dict[int, Point]:
        """Each seed's newest point so far."""
        if trial.purpose == "trial" and is_new(trial):
            return {}
        assert trial.purpose is not None
        return tx.points.last(study.name, trial.number, purpose=trial.purpose, seeds=seeds)

    @staticmethod
    def _add_points(
        tx: Transaction, study: Study, trial: Trial, points: Sequence[Point], last: dict[int, Point]
    ) -> dict[str, Any]:
        """Store points, which end in ``last``; answers how the trial changes by them.

        An epoch that an earlier attempt had reported is a repeated one.
        """
        changes: dict[str, Any] = {"heard": trial.attempts} if trial.heard < trial.attempts else {}
        if not points:
            return changes
        assert trial.purpose is not None
        metric = study.spec.objective.metric or ""
        values = [point.metrics.get(metric) for point in points]
        first_ones = trial.purpose == "trial" and is_new(trial)
        fresh, again = tx.points.add(
            study.name, trial.number, trial.purpose, trial.attempts, points, values, first_ones=first_ones
        )
        changes["seconds"] = trial.seconds + sum(p.seconds or 0.0 for p in (*fresh, *again) if not p.shared)
        if trial.purpose == "trial":
            counts = trial.epochs
            repeated = sum(not point.shared for point in again)
            changes["epochs"] = EpochCounts(
                trained=counts.trained + sum(not point.shared for point in fresh) + repeated,
                shared=counts.shared + sum(point.shared for point in fresh),
                repeated=counts.repeated + repeated,
            )
            changes["metrics"] = mean_metrics(list(last.values()))
        return changes

    def _pruned_at(self, tx: Transaction, study: Study, trial: Trial, seeds: Sequence[int], judged: int) -> int | None:
        """The first epoch after ``judged`` at which the pruner stops the trial, in order of epochs."""
        pruner = study.spec.pruner
        if not isinstance(pruner, MedianPruner) or trial.origin == "baseline":
            return None
        assert study.spec.window is not None
        by_epoch = tx.points.objective(study.name, trial.number)
        own: list[float | None] = []
        for epoch in range(1, n_intervals(trial.schedule, study.updates_per_epoch)):
            values = by_epoch.get(epoch, {})
            if any(seed not in values for seed in seeds):
                return None
            own.append(mean_of([values[seed] for seed in seeds]))
            if epoch <= judged:
                continue
            before = trial.number - study.spec.window + 1
            others = [value for _, value in tx.points.objective_at(study.name, epoch, before=before)]
            if stops(pruner, study.spec.minimize, own, others):
                return epoch
        return None

    def _stop_long(self, tx: Transaction, study: Study, trial: Trial) -> list[Directive]:
        """End a trial that runs for longer than the study's limits allow, even if its worker only says it is alive."""
        hours = study.spec.limits.trial_hours
        if hours is None or trial.started_at is None or tx.now() - trial.started_at <= timedelta(hours=hours):
            return []
        error = f"it ran for longer than limits.trial_hours = {hours:g}"
        self._end_trial(tx, study, trial, state="failed", error=error)
        return [Directive(study=study.name, trial=trial.number, do="stop", why="failed")]

    @staticmethod
    def _ending(study: Study, trial: Trial, result: Result | None, last: Mapping[int, Point]) -> dict[str, Any] | None:
        """How a result ends a trial; None while there is no result, or where it ends other work than the trial."""
        if result is None or trial.purpose != "trial":
            return None
        if result.state == "completed":
            return completion(study, trial, last, result.value)
        return {"state": result.state, "error": result.error, "diverged_at": result.diverged_at}


def is_new(trial: Trial) -> bool:
    """Whether nothing of the trial was ever reported."""
    return trial.epochs.trained + trial.epochs.shared == 0


def completion(study: Study, trial: Trial, last: Mapping[int, Point], value: float | None) -> dict[str, Any]:
    """The end of a trial that was trained to its horizon: completed, or why not.

    Args:
        study: its study.
        trial: the trial.
        last: each seed's newest point.
        value: the objective as an external loop states it.

    Raises:
        Refused: a seed has not reported the last epoch.
    """
    metric = study.spec.objective.metric or ""
    seeds = seeds_for(study, trial)
    if study.spec.external:
        reported = [last[seed].metrics for seed in seeds if seed in last]
        values = [metrics.get(metric) for metrics in reported] if value is None else [value]
        if value is None and not any(metric in metrics for metrics in reported):
            return {"state": "failed", "error": f"it ended without reporting the metric `{metric}`"}
    else:
        end = n_intervals(trial.schedule, study.updates_per_epoch)
        missing = [seed for seed in seeds if seed not in last or last[seed].epoch != end]
        if missing:
            raise Refused(f"not complete: seed {missing[0]} has not reported epoch {end}")
        if any(metric not in last[seed].metrics for seed in seeds):
            names = ", ".join(last[seeds[0]].metrics)
            return {"state": "failed", "error": f"the metric `{metric}` was not reported; reported were {names}"}
        values = [last[seed].metrics.get(metric) for seed in seeds]
    mean = mean_of(values)
    if mean is None:
        return {"state": "diverged", "values": tuple(values)}
    return {"state": "completed", "value": mean, "values": tuple(values)}


def follow(trial: Trial, points: Sequence[Point], last: dict[int, Point]) -> None:
    """Bring each seed's newest point forward by ``points``. Raises Refused where an epoch is left out."""
    for point in sorted(points, key=lambda point: point.epoch or 0):
        assert point.seed is not None
        assert point.epoch is not None
        before = last[point.seed].epoch if point.seed in last else 0
        assert before is not None
        if trial.purpose != "test" and point.epoch > before + 1:
            raise Refused(f"epoch {point.epoch} of seed {point.seed} was reported before epoch {before + 1}")
        if point.epoch >= before:
            last[point.seed] = point


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
