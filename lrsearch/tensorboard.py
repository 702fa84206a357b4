"""A study as TensorBoard event files: a run a trial, with its curves and hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import InvalidInput
from .study import Point, Study, Trial, by_epoch, mean_metrics

RATE = "learning_rate"
"""The tag of the rate."""
OBJECTIVE = "objective"
"""The tag of a trial's value."""


def write_events(folder: Path, study: Study, trained: Iterable[tuple[Trial, list[Point]]]) -> int:
    """Write the event files of a study's trials, each into ``folder/study/trial-0000``.

    Scalars are the metrics' means over seeds and the rate at the end of every reporting interval (not a number where
    one was not finite), at the epoch, or the update. Hyperparameters are the schedule's fields and what became of the
    trial; its value is ``objective``. Wall times are what was reported: a trial's start plus its seconds of training.

    Args:
        folder: TensorBoard's ``--logdir``; made where it is missing.
        study: the study.
        trained: its trials, each with its points; those without a point are left out.

    Returns:
        The number of runs written.

    Raises:
        InvalidInput: the folder holds this study already, or cannot be written.
    """
    from tensorboardX import SummaryWriter

    home = folder / study.name
    n = 0
    try:
        home.mkdir(parents=True, exist_ok=True)
        if any(home.iterdir()):
            raise InvalidInput(f"{home} is not empty: curves would be drawn twice; name another folder", field="--to")
        for trial, points in trained:
            if not points:
                continue
            with SummaryWriter(str(home / f"trial-{trial.number:04d}")) as run:
                _write(run, study, trial, points)
            n += 1
    except OSError as error:
        raise InvalidInput(f"{home} cannot be written: {error.strerror}", field="--to") from None
    return n


def _write(run: Any, study: Study, trial: Trial, points: list[Point]) -> None:
    from tensorboardX.summary import hparams

    unit, horizon = trial.schedule.eval_every or 1, trial.schedule.horizon
    now = (trial.started_at or study.created_at).timestamp()
    tags, step = {RATE: 0.0}, 0
    for epoch, its in by_epoch(points).items():
        step = min(epoch * unit, horizon)
        now += max(point.seconds or 0.0 for point in its)
        rate = {RATE: its[0].lr_last} if its[0].lr_last is not None else {}
        for tag, value in (mean_metrics(its) | rate).items():
            run.add_scalar(tag, math.nan if value is None else value, step, walltime=now)
            tags[tag] = 0.0
    if trial.value is not None:
        run.add_scalar(OBJECTIVE, trial.value, step, walltime=now)
        tags[OBJECTIVE] = 0.0
    for summary in hparams(_hyperparameters(trial), tags):
        run.file_writer.add_summary(summary)


def _hyperparameters(trial: Trial) -> Mapping[str, str | float]:
    """The schedule's fields, flat, and what became of the trial."""
    fields = trial.schedule.model_dump(mode="json", exclude_none=True)
    told = {name: value if isinstance(value, int | float | str) else str(value) for name, value in fields.items()}
    return told | {"state": trial.state, "origin": trial.origin}
