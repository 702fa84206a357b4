"""What is stored of a trial's curve, as far as it says where the trial stands and where it ends."""

from __future__ import annotations

from collections.abc import Sequence

from ..store import Transaction
from ..study import Point, Result, Study, Trial


def newest(tx: Transaction, study: Study, trial: Trial, seeds: Sequence[int]) -> dict[int, Point]:
    """Each seed's newest point so far."""
    assert trial.purpose is not None
    if trial.purpose == "trial":
        counts = trial.epochs
        if (n_epochs := counts.trained - counts.repeated + counts.shared) == 0:
            return {}
        if len(seeds) == 1:  # epochs come without gaps, and a mean over one seed is the seed's own
            return {seeds[0]: Point(epoch=n_epochs, seed=seeds[0], metrics=trial.metrics)}
    return tx.points.last(study.name, trial.number, purpose=trial.purpose, seeds=seeds)


def stop_epoch(
    tx: Transaction, study: Study, trial: Trial, seeds: Sequence[int], points: Sequence[Point]
) -> int | None:
    """The epoch with which early stopping ends a trial, these points included; None while it goes on."""
    rule = study.spec.stop
    if rule is None or trial.purpose not in ("trial", "confirm") or not points:
        return None
    metric, upto = rule.metric or "", max(point.epoch or 0 for point in points)
    curve: dict[int, dict[int, float | None]] = {}
    if metric == study.spec.objective.metric:
        curve = tx.points.objective(study.name, trial.number, purpose=trial.purpose)
        stored: Sequence[Point] = ()
    else:
        stored = tx.points.of(study.name, trial.number, purpose=trial.purpose)
    for point in (*stored, *points):
        curve.setdefault(point.epoch or 0, {})[point.seed or 0] = point.metrics.get(metric)
    # an attempt that began again is not judged by what an earlier one had reported of later epochs
    reached = [values for epoch, values in sorted(curve.items()) if epoch <= upto]
    whole = [values for values in reached if all(seed in values for seed in seeds)]
    return rule.epoch([[values[seed] for seed in seeds] for values in whole])


def end_of_curve(
    tx: Transaction,
    study: Study,
    trial: Trial,
    seeds: Sequence[int],
    points: Sequence[Point],
    *,
    last: dict[int, Point],
    result: Result | None,
    stopped_at: int | None,
) -> int | None:
    """The epoch that ends a trial though later ones are stored; None = it ends with what is stored, or not yet.

    A seed may have gone further than the epoch at which all together were stopped early. A loop of somebody's own that
    was handed out anew begins again, and may leave off before it comes to where the lost attempt was.

    Args:
        tx: the transaction.
        study: its study.
        trial: the trial.
        seeds: those that are trained.
        points: the report's.
        last: each seed's newest point, these included; brought back to the trial's end.
        result: the report's.
        stopped_at: the epoch with which early stopping ended it.
    """
    if trial.purpose != "trial" or result is None or result.state != "completed":
        return None
    end = stopped_at
    if study.spec.external and trial.attempts > 1 and stopped_at is None:
        stored = tx.points.last(study.name, trial.number, purpose="trial", seeds=seeds, attempt=trial.attempts)
        end = max((point.epoch or 0 for point in (*stored.values(), *points)), default=None)
    if end is None or all((point.epoch or 0) <= end for point in last.values()):
        return None
    there = [point for point in (*tx.points.of(study.name, trial.number), *points) if point.epoch == end]
    last.update({point.seed or 0: point for point in there if point.seed in last})
    return end
