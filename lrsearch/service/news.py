"""News: reports that were found in order, and what they change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from ..errors import InvalidInput
from ..store import Added
from ..study import EpochCounts, Point, Report, Result, Study, Trial, mean_metrics, mean_of
from ..trajectory import n_intervals
from .standing import seeds_for


class Refused(Exception):
    """One report that is not taken; the others of its batch are."""


@dataclass(frozen=True, slots=True)
class News:
    """A report that was found in order, on a trial that its lease holds.

    Attributes:
        trial: the trial as it is stored.
        result: how it ended, if it did.
        seeds: the seeds that are trained.
        points: each with its seed and epoch.
        last: each seed's newest point, these included.
        done: epochs that all seeds had reported before.
        new: whether none of the points' epochs is stored yet.
        ending: how the result ends the trial; None where there is no result, or it ends other work.
        told_to_stop: whether its worker has not said that it is over.
        ends_at: the epoch beyond which what is stored is no part of the trial; None = nothing is.
    """

    trial: Trial
    result: Result | None
    seeds: Sequence[int]
    points: Sequence[Point]
    last: dict[int, Point]
    done: int
    new: bool
    ending: dict[str, Any] | None
    told_to_stop: bool = False
    ends_at: int | None = None


def rounds(reports: Iterable[Report]) -> Iterator[tuple[str, list[Report]]]:
    """Reports in their order, as many at a time as are of one study with no trial twice."""
    for name, of_study in groupby(reports, key=lambda report: report.study):
        some: dict[int, Report] = {}
        for report in of_study:
            if report.trial in some:
                yield name, list(some.values())
                some = {}
            some[report.trial] = report
        yield name, list(some.values())


def changed(news: News, added: Added, again_elsewhere: int, now: datetime) -> dict[str, Any]:
    """How a trial changes by its points; an epoch that an earlier attempt had reported is a repeated one.

    So are those that another trial had trained: they might have been shared.

    Args:
        news: the report.
        added: what became of its points.
        again_elsewhere: how many fresh epochs another trial had trained.
        now: the moment.
    """
    trial = news.trial
    changes: dict[str, Any] = {"heard": trial.attempts} if trial.heard < trial.attempts else {}
    if trial.heard == 0 and trial.purpose == "trial":
        # it may have waited for its turn since it was handed out
        lasted = sum(p.seconds or 0.0 for p in news.points if not p.shared)
        had = now if trial.handed_at is None else trial.handed_at
        changes["started_at"] = had if (now - had).total_seconds() <= lasted else now - timedelta(seconds=lasted)
    if not news.points:
        return changes
    fresh, again = added
    changes["seconds"] = trial.seconds + sum(p.seconds or 0.0 for p in (*fresh, *again) if not p.shared)
    if trial.purpose == "trial":
        counts = trial.epochs
        repeated = sum(not point.shared for point in again)
        changes["epochs"] = EpochCounts(
            trained=counts.trained + sum(not point.shared for point in fresh) + repeated,
            shared=counts.shared + sum(point.shared for point in fresh) + again_elsewhere,
            repeated=counts.repeated + repeated + again_elsewhere,
        )
        changes["metrics"] = mean_metrics(list(news.last.values()))
    return changes


def completion(
    study: Study, trial: Trial, last: Mapping[int, Point], value: float | None, stopped_at: int | None = None
) -> dict[str, Any]:
    """The end of a trial that was trained to its horizon, or stopped early: completed, or why not.

    Args:
        study: its study.
        trial: the trial.
        last: each seed's newest point.
        value: the objective as an external loop states it.
        stopped_at: the epoch with which early stopping ended it.

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
        end = stopped_at or n_intervals(trial.schedule, study.updates_per_epoch)
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
    return {"state": "completed", "value": mean, "values": tuple(values), "stopped_at": stopped_at}


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


def placed(study: Study, trial: Trial, seeds: Sequence[int], end: int, point: Point) -> Point:
    """``point`` with its seed and epoch filled in; ``end`` is the trial's last epoch.

    Raises:
        InvalidInput: it belongs to no seed or epoch of the trial.
    """
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
    if (seed, epoch, update) == (point.seed, point.epoch, point.update):
        return point
    return point.model_copy(update={"seed": seed, "epoch": epoch, "update": update})


def unstoppable(study: Study, trial: Trial, points: Sequence[Point]) -> str | None:
    """What is wrong where early stopping looks at a metric that is not reported."""
    rule = study.spec.stop
    if rule is None or rule.metric is None or trial.purpose != "trial":
        return None
    lacking = next((point for point in points if rule.metric not in point.metrics), None)
    if lacking is None:
        return None
    return f"`stop` looks at `{rule.metric}`, which was not reported; reported were {', '.join(lacking.metrics)}"
