"""Studies, trials and points to store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lrsearch.schedules import Schedule
from lrsearch.store import LeaseRow
from lrsearch.study import Point, Study, Trial, read_spec

MOMENT = datetime(2026, 11, 1, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
def moment() -> datetime:
    """A moment with microseconds."""
    return MOMENT


@pytest.fixture
def spec() -> Callable[..., Any]:
    """``spec(name, **fields)``: a study spec."""

    def make(name: str = "s", **fields: Any) -> Any:
        space = {"family": ["step", "cosine"], "initial_lr": {"low": 1e-4, "high": 1e-1, "log": True}, "warmup": [0, 1]}
        return read_spec({"name": name, "task": "digits-mlp", "epochs": 10, "space": space} | fields)

    return make


@pytest.fixture
def study(spec: Callable[..., Any]) -> Callable[..., Study]:
    """``study(name, **fields)``: a queued study."""

    def make(name: str = "s", **fields: Any) -> Study:
        its_spec = fields.pop("spec", None) or spec(name)
        return Study.model_validate(
            {"name": name, "owner": "local", "state": "queued", "spec": its_spec, "created_at": MOMENT} | fields
        )

    return make


@pytest.fixture
def trial() -> Callable[..., Trial]:
    """``trial(number, **fields)``: a queued trial with work to be done."""

    def make(number: int = 0, **fields: Any) -> Trial:
        schedule = Schedule.model_validate({"family": "cosine", "epochs": 10, "initial_lr": 0.1 / (number + 3)})
        params = {"initial_lr": schedule.initial_lr, "family": "cosine"}
        return Trial.model_validate(
            {"number": number, "schedule": schedule, "params": params, "purpose": "trial", "created_at": MOMENT}
            | fields
        )

    return make


@pytest.fixture
def ended(trial: Callable[..., Trial]) -> Callable[..., Trial]:
    """``ended(number, state, value)``: a trial that ended ``number`` seconds after the moment."""

    def make(number: int, state: str = "completed", value: float | None = None, **fields: Any) -> Trial:
        finished = MOMENT + timedelta(seconds=number)
        return trial(number, **{"state": state, "value": value, "purpose": None, "finished_at": finished} | fields)

    return make


@pytest.fixture
def point() -> Callable[..., Point]:
    """``point(epoch, seed, **fields)``: a finished epoch."""

    def make(epoch: int, seed: int = 0, **fields: Any) -> Point:
        metrics = {"val_loss": 1.0 / epoch, "train_loss": 0.1 + 0.2}
        return Point.model_validate({"epoch": epoch, "seed": seed, "seconds": 0.5, "metrics": metrics} | fields)

    return make


@pytest.fixture
def lease() -> Callable[..., LeaseRow]:
    """``lease(id, **fields)``: a lease of worker w for a minute from the moment."""

    def make(lease: str = "a", **fields: Any) -> LeaseRow:
        row = {
            "worker": "w",
            "owner": "local",
            "hold": 2,
            "only_study": None,
            "tasks": None,
            "recipe": "",
            "expires_at": MOMENT + timedelta(seconds=60),
        }
        return LeaseRow(lease=lease, **row | fields)

    return make
