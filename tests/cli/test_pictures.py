"""Schedules drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.pictures import Trained, paint_study, paint_trial, sketch
from lrsearch.pictures.trained import quantities
from lrsearch.schedules import Schedule
from lrsearch.study import Point, Study, Trial


def step(**fields: Any) -> Schedule:
    data = {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 2, "epochs": 4} | fields
    return Schedule.model_validate({name: value for name, value in data.items() if value is not None})


def test_a_step_is_drawn_as_a_step() -> None:
    assert sketch(step(), 10, width=8, height=4).splitlines() == [
        "      0.1 ┤████    ",
        "          ┤████    ",
        "          ┤████████",
        "        0 ┤████████",
        "          └────────",
        "           04 epochs",
    ]


@given(st.data())
def test_every_schedule_has_a_sketch_of_its_size(schedules: Callable[..., Any], data: st.DataObject) -> None:
    schedule, updates_per_epoch = data.draw(schedules())
    lines = sketch(schedule, updates_per_epoch, width=30, height=5).splitlines()
    assert len(lines) == 7
    assert all(len(line.removesuffix("  (logarithmic)")) == 41 for line in lines[:5])
    assert any("█" in line or "▄" in line or "▇" in line for line in lines[:5])


METRICS = {"train_loss": [2.0, 1.0, 0.5, 0.25], "val_loss": [2.0, 1.5, None, 1.2], "val_accuracy": [0.1, 0.5, 0.6, 0.7]}


def trained(number: int, state: str = "completed", *, n_epochs: int = 4, seeds: int = 1, **fields: Any) -> Trained:
    value = float(number) if state == "completed" else None
    trial = Trial.model_validate({"number": number, "state": state, "value": value, "schedule": step(**fields)})
    points = [
        Point(epoch=e + 1, seed=seed, metrics={name: values[e] for name, values in METRICS.items()})
        for seed in range(seeds)
        for e in range(n_epochs)
    ]
    return Trained(trial, points)


def study(best: int | None, *, minimize: bool = True, n: int = 5, epochs: int = 4) -> Study:
    direction = "minimize" if minimize else "maximize"
    spec = {
        "task": "external", "epochs": epochs, "objective": {"metric": "val_loss", "direction": direction},
        "space": {"family": "step"},
    }  # fmt: skip
    told = {"name": "s", "owner": "local", "state": "running", "spec": spec, "created_at": "2026-01-01T00:00:00Z"}
    chosen = {"study": "s", "trial": best, "value": 1.0, "params": {}, "schedule": step(), "recipe": {}}
    return Study.model_validate(
        told
        | {"progress": {"trials": {"completed": n}}, "updates_per_epoch": 10}
        | ({} if best is None else {"best": chosen | {"updates_per_epoch": 10}})
    )


@pytest.mark.parametrize("suffix", [".png", ".svg"])
@pytest.mark.parametrize(
    ("found", "trials"),
    [
        (
            study(1),
            [trained(n, seeds=2) for n in range(3)] + [trained(3, "diverged", n_epochs=2), trained(4, "pruned")],
        ),
        (study(0, minimize=False), [trained(0), trained(1, "running", n_epochs=1), trained(2, "queued", n_epochs=0)]),
        (study(0, epochs=1, n=1), [trained(0, n_epochs=1, epochs=1)]),
        (study(None), [trained(n, "diverged", n_epochs=1) for n in range(2)]),
    ],
    ids=["many", "under way", "one epoch", "nothing completed"],
)
def test_a_study_is_drawn(tmp_path: Path, suffix: str, found: Study, trials: list[Trained]) -> None:
    pytest.importorskip("matplotlib")
    paint_study(tmp_path / f"all{suffix}", found, trials)
    paint_trial(tmp_path / f"one{suffix}", found, trials[0])
    for name in ("all", "one"):
        assert (tmp_path / f"{name}{suffix}").read_bytes()[:5] in (b"\x89PNG\r", b"<?xml")


def test_what_was_not_trained_is_not_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    queued = trained(0, "queued", n_epochs=0)
    with pytest.raises(InvalidInput, match="trained nothing yet"):
        paint_study(tmp_path / "a.png", study(None), [queued])
    with pytest.raises(InvalidInput, match="not been trained yet"):
        paint_trial(tmp_path / "a.png", study(None), queued)
    with pytest.raises(InvalidInput, match=r"\.svg file"):
        paint_trial(tmp_path / "a.txt", study(None), trained(0))
    with pytest.raises(InvalidInput, match="cannot be written"):
        paint_study(tmp_path / "nowhere" / "a.png", study(0), [trained(0)])


def test_rates_end_where_the_training_did() -> None:
    x, rates = trained(0, "pruned", n_epochs=3).rates(study(0))
    np.testing.assert_allclose(x, np.arange(31) / 10)
    np.testing.assert_allclose(rates, [*step().lr_table(10)[:30], 0.05])
    x, rates = trained(0, "diverged", n_epochs=1, family="plateau", step_size=None, patience=1).rates(study(0))
    assert (len(x), rates[-1]) == (11, 0.1)


def test_what_was_measured_is_the_seeds_mean() -> None:
    one = trained(0, seeds=2)
    one = one._replace(points=[*one.points[:-1], Point(epoch=4, seed=1, metrics={"val_loss": 2.2})])
    x, mean = one.measured("val_loss")
    np.testing.assert_allclose(x, [1, 2, 3, 4])
    np.testing.assert_allclose(mean, [2.0, 1.5, np.nan, 1.7])
    np.testing.assert_allclose(one.measured("val_loss", 1)[1], [2.0, 1.5, np.nan, 2.2])


@pytest.mark.parametrize(
    ("names", "objective", "wanted"),
    [
        (["grad_norm", "train_loss", "val_accuracy", "val_loss"], "val_loss", {"loss": "train val", "accuracy": "val"}),
        (["val_accuracy", "val_loss"], "val_accuracy", {"accuracy": "val", "loss": "val"}),
        (["loss", "score"], "score", {"score": "", "loss": ""}),
        (["fid", "train_loss"], "fid", {"fid": "", "loss": "train"}),
    ],
)
def test_panels_are_quantities(names: list[str], objective: str, wanted: dict[str, str]) -> None:
    one = trained(0)._replace(points=[Point(epoch=1, seed=0, metrics=dict.fromkeys(names, 1.0))])
    found = quantities([one], objective)
    assert {name: " ".join(sorted(parts)) for name, parts in found.items()} == wanted
    assert list(found) == list(wanted)


def test_the_command_draws_a_study_or_a_trial(cli: Callable[..., Any], small: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    cli("run", str(small))
    assert cli("plot", "small").out == "small.png\n"
    assert cli("plot", "small", "--trial", "1", "--to", "one.svg").out == "one.svg\n"
    assert (tmp_path / "small.png").read_bytes().startswith(b"\x89PNG")
    assert "trial 1: step" in (tmp_path / "one.svg").read_text()
    assert cli("plot", "small", "--trial", "9").code == 3
    assert cli("plot", "nowhere").code == 3
