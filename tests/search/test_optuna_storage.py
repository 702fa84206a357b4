"""Studies in Optuna's own storages: opened by Optuna, they are what they are here."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pytest

from lrsearch.errors import Conflict, InvalidInput
from lrsearch.search.optuna_storage import distribution, write_study
from lrsearch.service import Service
from lrsearch.space import Choices, Interval, Listed, Spaced, Steps
from lrsearch.store import Store
from lrsearch.study import LeaseRequest, Report, ReportRequest, Result, TrialRequest, read_spec

DIMENSIONS = [
    Choices((0.1, 0.5)),
    Choices((True, 1, "x", None)),
    Choices(((1, 2), (3,))),  # type: ignore[arg-type]
    Listed((1, 2, 7)),
    Steps(2, 3, 5),
    Steps(1, 1, 8, log=True),
    Steps(0.1, 0.1, 7),
    Spaced(1e-4, 1e-1, 4, log=True),
    Spaced(0.0, 1.0, 6, log=False),
]


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=str)
def test_every_value_lies_in_the_distribution(dimension: Any) -> None:
    its = distribution(dimension)
    values = [dimension.value(index) for index in range(dimension.n)]
    for value in values:
        scalar = str(list(value)).replace("'", '"') if isinstance(value, tuple) else value
        assert its._contains(its.to_internal_repr(scalar))
    assert not its.single()


def test_intervals_keep_their_bounds() -> None:
    assert distribution(Interval(1e-4, 0.1, True)) == optuna.distributions.FloatDistribution(1e-4, 0.1, log=True)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    store = Store(f"sqlite:///{tmp_path / 's.db'}")
    store.migrate()
    return Service(store)


def run(service: Service, **fields: Any) -> list[Any]:
    """An external study of eight trials: two diverge, one fails, the others end at a value of their rate."""
    space = {
        "family": ["step", "cosine"],
        "initial_lr": {"low": 1e-3, "high": 1.0, "log": True},
        "step_size": [1, 2],
        "final_factor": {"low": 0, "high": 0.5, "step": 0.25},
    }
    spec = {
        "name": "s", "task": "external", "epochs": 3, "space": space, "sampler": "random", "budget": {"trials": 8},
        "objective": {"metric": "val_loss", "direction": "minimize"}, "baselines": [{"family": "constant"} | LR],
    }  # fmt: skip
    service.create(read_spec(spec | fields))
    lease = service.lease(LeaseRequest(worker="w", hold=8, study="s"))
    ends = {2: Result(state="diverged"), 4: Result(state="failed", error="no luck"), 7: None}
    reports = []
    for given in lease.assignments:
        points = [
            {"epoch": epoch, "seed": 0, "metrics": {"val_loss": None if given.trial == 2 else 1 / epoch + given.trial}}
            for epoch in (1, 2, 3)
        ]
        end = ends.get(given.trial, Result(state="completed"))
        reports.append(
            Report.model_validate(
                {"study": "s", "trial": given.trial, "attempt": given.attempt, "points": points, "result": end}
            )
        )
    service.report(lease.lease, ReportRequest(hold=0, reports=tuple(reports)))
    return list(service.trials("s").items)


LR = {"initial_lr": 0.1}


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_study_opens_in_optuna_as_it_is_here(service: Service, tmp_path: Path, kind: str, direction: Any) -> None:
    trials = run(service, objective={"metric": "val_loss", "direction": direction})
    study = service.study("s")
    address = {"sqlite": f"sqlite:///{tmp_path / 'o.db'}", "journal": f"journal:{tmp_path / 'o.log'}"}[kind]
    n = write_study(address, study, [(trial, service.curve("s", trial.number)) for trial in trials], study.best)
    assert n == len(trials) == 8
    storage: Any = address
    if kind == "journal":
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "o.log"))
        storage = optuna.storages.JournalStorage(backend)
    found = optuna.load_study(study_name="s", storage=storage)
    assert study.best is not None
    assert (found.best_trial.number, found.best_value) == (study.best.trial, study.best.value)
    assert found.direction.name.lower() == direction
    assert found.metric_names == ["val_loss"]
    assert found.user_attrs["spec"] == study.spec.model_dump(mode="json")
    assert found.user_attrs["best_trial"] == study.best.trial
    states = {"completed": "COMPLETE", "diverged": "FAIL", "failed": "FAIL", "running": "RUNNING"}
    for ours, theirs in zip(trials, found.trials, strict=True):
        assert theirs.number == ours.number
        assert theirs.state.name == states[ours.state]
        assert theirs.value == ours.value
        assert theirs.user_attrs["state"] == ours.state
        assert theirs.user_attrs["params"] == ours.params
        assert theirs.user_attrs["epochs_trained"] == ours.epochs.trained
        assert theirs.user_attrs["schedule"]["family"] == ours.schedule.family
        curve = {point.epoch: point.metrics["val_loss"] for point in service.curve("s", ours.number)}
        assert set(theirs.intermediate_values) == set(curve)
        for epoch, value in theirs.intermediate_values.items():
            assert value == curve[epoch] or (curve[epoch] is None and math.isnan(value))
        if ours.origin == "sampler":
            own = {label.rpartition(".")[2]: value for label, value in theirs.params.items()}
            assert own == ours.params
        else:
            assert theirs.params == {}
    assert {trial.user_attrs.get("error") for trial in found.trials} == {None, "no luck"}
    more = found.ask()  # Optuna goes on with it
    assert more.number == 8


def test_a_name_that_is_taken_is_a_conflict(service: Service, tmp_path: Path) -> None:
    run(service)
    address = f"sqlite:///{tmp_path / 'o.db'}"
    write_study(address, service.study("s"), [], None)
    with pytest.raises(Conflict, match="study `s` already"):
        write_study(address, service.study("s"), [], None)


@pytest.mark.parametrize("address", ["nonsense", "sqlite:////nowhere/x.db", "what://x", ""])
def test_a_storage_that_cannot_be_opened_is_said_so(service: Service, address: str) -> None:
    run(service)
    with pytest.raises(InvalidInput, match="no Optuna storage"):
        write_study(address, service.study("s"), [], None)


def test_trials_that_nobody_began_are_left_out(service: Service, tmp_path: Path) -> None:
    run(service, budget={"trials": 40})
    service.add_trial("s", TrialRequest(retry=0))
    trials = list(service.trials("s", limit=100).items)
    assert len(trials) == 9
    address = f"sqlite:///{tmp_path / 'o.db'}"
    assert write_study(address, service.study("s"), [(trial, []) for trial in trials], None) == 8
