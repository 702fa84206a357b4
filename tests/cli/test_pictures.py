"""Schedules drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.pictures import Tried, paint, sketch
from lrsearch.schedules import Schedule


def step(**fields: Any) -> Schedule:
    data = {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 2, "epochs": 4}
    return Schedule.model_validate(data | fields)


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


@pytest.mark.parametrize("minimize", [True, False])
def test_a_picture_of_all_that_was_tried(tmp_path: Path, minimize: bool) -> None:
    pytest.importorskip("matplotlib")
    tried = [
        Tried(n, step(initial_lr=10.0**-n, warmup=n % 2, warmup_start=0.0), None if n == 3 else n / 4) for n in range(6)
    ]
    paint(tmp_path / "a.png", tried, 1, metric="val_loss", minimize=minimize, updates_per_epoch=10, title="all")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    paint(tmp_path / "one.png", tried[:1], 0, metric="val_loss", updates_per_epoch=10)
