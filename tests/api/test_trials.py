"""Trials over HTTP: look, add, cancel, curves, CSV, exports."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

import lrsearch
from lrsearch.exports import TARGETS

SCHEDULE = {
    "family": "step",
    "epochs": 3,
    "initial_lr": 0.1,
    "final_factor": 0.0,
    "warmup": 0,
    "warmup_shape": "linear",
    "warmup_start": 0.01,
    "decay_rate": 0.5,
    "step_size": 1,
}


@pytest.fixture
def study(http, external: dict[str, Any]) -> None:
    """The external study, created."""
    assert http.post("/v1/studies", json=external).status_code == 201


def test_a_trial_has_the_shape_of_the_contract(http, study: None, train) -> None:
    given = train(0.5)
    trial = http.get("/v1/studies/loop/trials/0").json()
    assert set(trial) >= {
        "number", "state", "value", "values", "metrics", "params", "schedule", "origin", "epochs", "attempts", "worker",
        "error", "seconds", "started_at", "finished_at",
    }  # fmt: skip
    assert trial["state"] == "completed"
    assert trial["value"] == pytest.approx(0.5)
    assert trial["metrics"] == {"val_loss": pytest.approx(0.5)}
    assert trial["origin"] == "sampler"
    assert {"trained": 3, "shared": 0}.items() <= trial["epochs"].items()
    assert trial["worker"] == "w"
    assert trial["schedule"] == given["schedule"]
    assert set(trial["schedule"]) == set(SCHEDULE)
    assert not {"lease", "purpose", "heard"} & set(trial)
    assert lrsearch.Schedule.model_validate(trial["schedule"]).lr(0, 10) == trial["schedule"]["initial_lr"]


def test_trials_are_listed_by_number_and_by_value(http, study: None, train) -> None:
    for value in (0.5, 0.3, 0.4):
        train(value)
    page = http.get("/v1/studies/loop/trials?limit=2").json()
    assert [trial["number"] for trial in page["items"]] == [0, 1]
    rest = http.get("/v1/studies/loop/trials", params={"limit": 2, "cursor": page["next"]}).json()
    assert [trial["number"] for trial in rest["items"]] == [2]
    assert rest["next"] is None
    by_value = http.get("/v1/studies/loop/trials?order=value").json()
    assert [trial["number"] for trial in by_value["items"]] == [1, 2, 0]
    assert http.get("/v1/studies/loop/trials?state=failed").json() == {"items": [], "next": None}


def test_a_curve_says_null_for_what_was_not_finite(http, study: None) -> None:
    lease = http.post("/v1/leases", json={"worker": "w", "hold": 1, "study": "loop"}).json()
    report = {"study": "loop", "trial": 0, "attempt": 1}
    point = {
        "epoch": 1,
        "lr_first": 0.1,
        "lr_last": 0.1,
        "seconds": 1.2,
        "metrics": {"val_loss": None, "train_loss": 2},
    }
    answer = http.post(f"/v1/leases/{lease['lease']}/reports", json={"reports": [report | {"points": [point]}]})
    assert answer.json()["rejected"] == []
    (stored,) = http.get("/v1/studies/loop/trials/0/curve").json()["points"]
    assert stored["epoch"] == 1
    assert stored["seed"] == 0
    assert stored["shared"] is False
    assert stored["lr_first"] == 0.1
    assert stored["metrics"] == {"val_loss": None, "train_loss": 2.0}


def test_adding_importing_retrying_and_cancelling(http, study: None, train) -> None:
    params = {"initial_lr": 0.2}
    added = http.post("/v1/studies/loop/trials", json={"params": params}, headers={"Idempotency-Key": "k"})
    assert added.status_code == 201, added.text
    assert added.headers["location"] == "/v1/studies/loop/trials/0"
    assert (added.json()["state"], added.json()["origin"]) == ("queued", "enqueued")
    assert added.json()["schedule"]["initial_lr"] == 0.2
    again = http.post("/v1/studies/loop/trials", json={"params": params}, headers={"Idempotency-Key": "k"})
    assert again.json() == added.json()
    imported = http.post("/v1/studies/loop/trials", json={"schedule": SCHEDULE, "value": 0.25}).json()
    assert (imported["number"], imported["state"], imported["origin"]) == (1, "completed", "imported")
    assert imported["value"] == 0.25
    cancelled = http.post("/v1/studies/loop/trials/0/cancel")
    assert cancelled.json()["state"] == "cancelled"
    assert http.post("/v1/studies/loop/trials/1/cancel").status_code == 409
    retried = http.post("/v1/studies/loop/trials", json={"retry": 0})
    assert (retried.json()["number"], retried.json()["retry_of"]) == (2, 0)
    assert train()["trial"] == 2


def test_trials_as_csv(http, study: None, train) -> None:
    train(0.5)
    http.post("/v1/studies/loop/trials", json={"schedule": SCHEDULE | {"warmup": 1, "initial_lr": 0.3}})
    lease = http.post("/v1/leases", json={"worker": "w", "hold": 1, "study": "loop"}).json()
    report = {"study": "loop", "trial": 1, "attempt": 1, "result": {"state": "failed", "error": '=HYPERLINK("x")\n,"'}}
    http.post(f"/v1/leases/{lease['lease']}/reports", json={"hold": 0, "reports": [report]})
    answer = http.get("/v1/studies/loop/trials.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="loop-trials.csv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["number"], row["state"], row["origin"], row["family"]) for row in rows] == [
        ("0", "completed", "sampler", "step"),
        ("1", "failed", "enqueued", "step"),
    ]
    assert float(rows[0]["val_loss"]) == pytest.approx(0.5)
    assert float(rows[1]["initial_lr"]) == 0.3
    assert float(rows[1]["warmup"]) == 1
    assert rows[1]["error"] == '\'=HYPERLINK("x")\n,"'
    assert rows[1]["value"] == ""


@pytest.mark.parametrize("target", TARGETS)
def test_exports(http, study: None, train, target: str) -> None:
    train(0.5)
    query = {"target": target, "updates_per_epoch": 4}
    best = http.get("/v1/studies/loop/trials/best/export", params=query)
    assert best.status_code == 200, best.text
    assert best.headers["content-type"].startswith(TARGETS[target].media_type)
    assert best.content == http.get("/v1/studies/loop/trials/0/export", params=query).content
    if best.headers["content-type"].startswith("text/x-python"):
        assert "study loop, trial 0" in best.text.splitlines()[0]


def test_an_export_is_carried_to_another_training(http, study: None, train) -> None:
    schedule = lrsearch.Schedule.model_validate(train(0.5)["schedule"])
    url = "/v1/studies/loop/trials/best/export"
    sizes = {"batch_size": 64, "from_batch_size": 16, "rule": "sqrt"}
    query = {"target": "npy", "updates_per_epoch": 4, "epochs": 9, **sizes}
    rates = np.load(io.BytesIO(http.get(url, params=query).content))
    wanted = schedule.rescale(epochs=9, **sizes)
    assert rates.tolist() == wanted.lr_table(4).tolist()
    code = http.get(url, params=query | {"target": "keras"}).text
    assert "3 epochs to 9 epochs" in code.splitlines()[1]
    in_updates = http.get(url, params={"target": "table", "updates": 30})
    assert len(in_updates.text.splitlines()) == 31
    unknown = http.get(url, params={"target": "json", "batch_size": 64})
    assert unknown.status_code == 422
    assert unknown.json()["errors"][0]["field"] == "from_batch_size"
    assert http.get(url, params={"epochs": 3, "updates": 3}).status_code == 422
    assert http.get(url, params={"rule": "cubic"}).status_code == 422


def test_the_exported_table_is_the_schedule(http, study: None, train) -> None:
    schedule = lrsearch.Schedule.model_validate(train(0.5)["schedule"])
    text = http.get("/v1/studies/loop/trials/best/export?target=table&updates_per_epoch=4").text
    rows = [line for line in text.splitlines() if line and not line.startswith(("#", "update"))]
    table = [float(row.split(",")[1]) for row in rows]
    assert table[:12] == pytest.approx(list(schedule.lr_table(4)), abs=0, rel=1e-12)


def test_torch_is_the_default_target_and_needs_updates_per_epoch(http, study: None, train) -> None:
    train(0.5)
    assert http.get("/v1/studies/loop/trials/best/export").status_code == 422
    code = http.get("/v1/studies/loop/trials/best/export?updates_per_epoch=4").text
    compile(code, "export", "exec")
    assert "LambdaLR" in code
