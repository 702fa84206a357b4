"""The client against a service that really listens."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lrsearch.client import Client
from lrsearch.errors import Conflict, InvalidInput, NotAllowed, NotFound, Unavailable
from lrsearch.schedules import Step
from lrsearch.study import Budget, LeaseRequest, Report, ReportRequest, Result, StudyPatch, StudySpec, TrialRequest

SPEC: dict[str, Any] = {
    "name": "loop",
    "task": "external",
    "epochs": 3,
    "space": {"family": "step", "initial_lr": [0.1, 0.2, 0.4], "decay_rate": 0.5, "step_size": 1},
    "sampler": "grid",
    "objective": {"metric": "val_loss", "direction": "minimize"},
}


def _train(client: Client, value: float) -> int:
    lease = client.lease(LeaseRequest(worker="w", hold=1, study="loop"))
    given = lease.assignments[0]
    result = Result(state="completed", value=value)
    report = Report(study="loop", trial=given.trial, attempt=given.attempt, result=result)
    assert client.report(lease.lease, ReportRequest(hold=0, reports=(report,))).rejected == ()
    client.release(lease.lease)
    return given.trial


def test_a_study_from_its_creation_to_its_best_schedule(client: Client) -> None:
    study, created = client.create(SPEC)
    assert created
    assert study.name == "loop"
    assert client.create(StudySpec.read(SPEC)) == (client.study("loop"), False)
    with pytest.raises(NotFound, match="has completed yet"):
        client.best("loop")
    assert client.leaders("loop", 3) == []
    values = [0.5, 0.3, 0.4]
    assert [_train(client, value) for value in values] == [0, 1, 2]
    best = client.best("loop")
    assert (best.trial, best.value) == (1, 0.3)
    assert isinstance(best.schedule, Step)
    assert best.schedule.lr_table(updates_per_epoch=4).shape == (12,)
    assert [leader.trial for leader in client.leaders("loop", 2)] == [1, 2]
    assert client.study("loop").state == "completed"
    assert [trial.value for trial in client.list_trials("loop").items] == values
    assert [trial.number for trial in client.list_trials("loop", order="value", limit=2).items] == [1, 2]
    assert client.trial("loop", 1).state == "completed"
    assert client.curve("loop", 1) == []
    assert "LambdaLR" in client.export("loop", updates_per_epoch=4).text
    assert client.export("loop", 1, "json").text.strip().startswith("{")


def test_studies_are_changed_paused_resumed_cancelled_deleted(client: Client) -> None:
    client.create(SPEC)
    assert [study.name for study in client.studies(state="queued").items] == ["loop"]
    assert client.pause("loop").state == "paused"
    assert client.resume("loop").state == "queued"
    patched = client.patch("loop", StudyPatch(budget=Budget(trials=2)))
    assert patched.spec.budget.trials == 2
    assert client.patch("loop", {"labels": {"team": "vision"}}).spec.budget.trials == 2
    assert client.cancel("loop").state == "cancelled"
    client.delete("loop")
    assert client.studies().items == ()


def test_trials_are_added_and_cancelled(client: Client) -> None:
    client.create(SPEC)
    added = client.add_trial("loop", TrialRequest(params={"initial_lr": 0.2}), key="once")
    assert client.add_trial("loop", {"params": {"initial_lr": 0.2}}, key="once") == added
    assert client.cancel_trial("loop", added.number).state == "cancelled"
    imported = client.add_trial("loop", {"schedule": {"family": "cosine", "initial_lr": 0.1}, "value": 0.2})
    assert client.best("loop").trial == imported.number


def test_your_own_loop(client: Client) -> None:
    client.create(SPEC)
    rates = []
    for trial in client.trials("loop"):
        with trial:
            for _ in range(trial.start, trial.epochs):
                trial.report(val_loss=trial.schedule.lr(0, 10))
        rates.append(trial.schedule.initial_lr)
    assert sorted(rates) == [0.1, 0.2, 0.4]
    assert client.best("loop").schedule.initial_lr == 0.1


def test_comparisons_catalog_workers_and_health(client: Client) -> None:
    client.ready()
    spec = {"task": "least-squares", "epochs": 2, "space": {"family": "step", "initial_lr": [0.1, 0.2]}}
    arms = [{"name": "a", "sampler": "random"}, {"name": "b", "sampler": "tpe"}]
    comparison, created = client.compare({"name": "duel", "spec": spec, "arms": arms, "repeats": 1})
    assert created
    assert client.comparison("duel") == comparison
    assert [item.name for item in client.comparisons().items] == ["duel"]
    assert "step" in [family.name for family in client.catalog().families]
    client.lease(LeaseRequest(worker="w", hold=0))
    assert [worker.worker for worker in client.workers()] == ["w"]


def test_errors_are_the_services_own(client: Client) -> None:
    client.create(SPEC)
    with pytest.raises(NotFound, match="nobody"):
        client.study("nobody")
    with pytest.raises(NotFound):
        client.study("../../livez")
    with pytest.raises(Conflict, match="epochs"):
        client.create(SPEC | {"epochs": 4})
    with pytest.raises(InvalidInput) as local:
        client.create({"task": "external", "epochs": "ten", "space": {"family": "step"}})
    assert local.value.faults[0].field == "epochs"
    with pytest.raises(InvalidInput) as remote:
        client.create({"name": "other", "task": "digits-mlp", "epochs": 3, "space": {"family": "step", "warmup": 3}})
    assert remote.value.faults[0].field.startswith("space.warmup")
    _train(client, 0.5)
    with pytest.raises(NotFound, match="torch"):
        client.export("loop", 0, "abacus")
    with pytest.raises(NotFound):
        client.report("nobody", ReportRequest())


def test_the_token_is_needed(guarded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(guarded.address) as nobody, pytest.raises(NotAllowed, match="LRSEARCH_TOKEN"):
        nobody.studies()
    with Client(guarded.address, "wrong") as stranger, pytest.raises(NotAllowed):
        stranger.studies()
    with Client(guarded.address, "correct-horse") as client:
        assert client.studies().items == ()
    monkeypatch.setenv("LRSEARCH_SERVER", guarded.address)
    monkeypatch.setenv("LRSEARCH_TOKEN", "correct-horse")
    with Client() as client:
        assert client.server == guarded.address
        assert client.studies().items == ()


def test_a_restart_of_the_service_is_ridden_out(listening: Any) -> None:
    with Client(listening.address, patience=20) as client:
        client.create(SPEC)
        listening.stop()
        back = threading.Timer(0.5, listening.start)
        back.start()
        study, created = client.create(SPEC | {"name": "second"})
        back.join()
        assert created
        assert study.name == "second"
        listening.stop()
        listening.start()
        assert {item.name for item in client.studies().items} == {"loop", "second"}


def test_a_service_that_stays_away_is_said_so(listening: Any) -> None:
    with Client(listening.address, patience=0.3) as client:
        client.ready()
        listening.stop()
        try:
            began = time.monotonic()
            with pytest.raises(Unavailable, match="lrsearch serve"):
                client.studies()
            assert time.monotonic() - began < 5
        finally:
            listening.start()


def test_threads_share_a_client(client: Client) -> None:
    names = [f"s{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        studies = list(pool.map(lambda name: client.create(SPEC | {"name": name})[0].name, names))
    assert studies == names
    assert {study.name for study in client.studies().items} == set(names)


@pytest.mark.parametrize("server", ["localhost:8000", "ftp://localhost", "http://", "not an address"])
def test_unusable_addresses_are_refused(server: str) -> None:
    with pytest.raises(InvalidInput, match="address"):
        Client(server)


def test_a_proxy_in_the_environment_does_not_stand_before_this_machine(
    listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with Client(listening.address, patience=0) as client:
        client.ready()


def test_the_client_is_light() -> None:
    code = (
        "import sys, lrsearch; lrsearch.Client('http://127.0.0.1:9'); lrsearch.Schedule; "
        "heavy = {'torch', 'optuna', 'sqlalchemy', 'fastapi', 'starlette', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_preview_stores_nothing(client: Client) -> None:
    found = client.preview(SPEC)
    assert (found.trials, found.cells, len(found.curves)) == (3, 3, 3)
    assert found == client.preview(StudySpec.read(SPEC))
    assert client.studies().items == ()
    with pytest.raises(InvalidInput, match="initial_lr"):
        client.preview({**SPEC, "space": {"family": "step", "initial_lr": 0}})
