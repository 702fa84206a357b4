"""``lrsearch export --to tensorboard:DIR``: event files, read back by TensorBoard itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrsearch.service import Service
from lrsearch.study import Point, by_epoch, mean_metrics

Cli = Callable[..., Any]


def read(folder: Path) -> Any:
    """What TensorBoard reads in a run's folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorBoard's advice on how it was installed
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    return EventAccumulator(str(folder)).Reload()


def as_float32(value: float | None) -> float:
    """What an event file holds: no number where it was not finite, infinity beyond float32."""
    return math.nan if value is None else value if abs(value) < 3e38 else math.copysign(math.inf, value)


def hyperparameters(run: Any) -> dict[str, Any]:
    """What TensorBoard's HParams page shows of a run."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = run.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    told = HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in told.items()}


@pytest.mark.parametrize(
    "settings",
    [
        ["train.seeds=2"],
        ["epochs=null", "updates=30", "eval_every=8", "space.step_size=[8, 16]"],
        ["space.initial_lr=[1e6, 0.1]", "space.decay_rate=0.5", "sampler=grid"],
    ],
    ids=["epochs", "updates", "diverging"],
)
def test_tensorboard_reads_what_was_measured(
    cli: Cli, service: Service, small: Path, tmp_path: Path, settings: list[str]
) -> None:
    pytest.importorskip("tensorboardX")
    pytest.importorskip("tensorboard")
    assert cli("run", str(small), *(part for one in settings for part in ("--set", one))).code == 0
    answer = cli("export", "small", "--to", f"tensorboard:{tmp_path / 'events'}")
    assert (answer.code, answer.out.startswith("3 runs")) == (0, True)
    spec = service.study("small").spec
    for trial in service.trials("small").items:
        run = read(tmp_path / "events" / "small" / f"trial-{trial.number:04d}")
        points = by_epoch(service.curve("small", trial.number))
        steps = [min(epoch * (spec.eval_every or 1), trial.schedule.horizon) for epoch in points]
        assert steps[-1] == trial.schedule.horizon or trial.state == "diverged"
        for tag, value in mean_metrics(points[len(points)]).items():
            seen = run.Scalars(tag)
            assert [event.step for event in seen] == steps
            assert seen[-1].value == pytest.approx(as_float32(value), nan_ok=True)
        assert [event.value for event in run.Scalars("learning_rate")] == pytest.approx(
            [its[0].lr_last for its in points.values()]
        )
        times = [event.wall_time for event in run.Scalars("learning_rate")]
        assert times == sorted(times)
        assert ("objective" in run.Tags()["scalars"]) == (trial.value is not None)
        if trial.value is not None:
            assert run.Scalars("objective")[0].value == pytest.approx(as_float32(trial.value))
        fields = trial.schedule.model_dump(mode="json", exclude_none=True)
        assert hyperparameters(run) == fields | {"state": trial.state, "origin": "sampler"}


def test_curves_are_not_written_twice(cli: Cli, small: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    cli("run", str(small))
    there = ("export", "small", "--to", f"tensorboard:{tmp_path / 'events'}")
    assert cli(*there).code == 0
    again = cli(*there)
    assert (again.code, "is not empty" in again.err) == (2, True)
    (tmp_path / "file").touch()
    assert cli(*there[:3], f"tensorboard:{tmp_path / 'file'}").code == 2


@pytest.mark.parametrize("to", ["events", "tensorboard", "tensorboard:", "s3:there"])
def test_it_says_what_a_study_is_written_to(cli: Cli, small: Path, to: str) -> None:
    cli("run", str(small))
    answer = cli("export", "small", "--to", to)
    assert (answer.code, "tensorboard:DIR" in answer.err) == (2, True)


def test_seeds_that_came_equally_far_are_one_mean() -> None:
    points = [Point(epoch=e, seed=s, metrics={"val_loss": float(e + s)}) for s in (0, 1) for e in (2, 1)]
    assert {e: mean_metrics(its) for e, its in by_epoch(points).items()} == {1: {"val_loss": 1.5}, 2: {"val_loss": 2.5}}
