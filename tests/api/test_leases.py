"""Leases and reports over HTTP, exactly as the contract writes them."""

from __future__ import annotations

from typing import Any

import pytest

TASK = {
    "name": "mnist-cnn",
    "version": "1",
    "train_examples": 54000,
    "metrics": {"val_loss": "minimize"},
    "options_schema": {},
    "defaults": {"optimizer": "adam", "batch_size": 64, "initial_lr": {"low": 1e-4, "high": 1e-2, "log": True}},
}
STUDY: dict[str, Any] = {
    "name": "mnist-step",
    "task": "mnist-cnn",
    "epochs": 10,
    "space": {"family": "step", "initial_lr": 0.1, "decay_rate": [0.3, 0.5], "step_size": 3, "warmup": 1},
    "sampler": "grid",
}


@pytest.fixture
def lease(http) -> dict[str, Any]:
    """A lease on both trials of a study of an announced task."""
    assert http.post("/v1/studies", json=STUDY).status_code == 201
    answer = http.post("/v1/leases", json={"worker": "a", "hold": 2, "study": None, "tasks": [TASK]})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _report(http, lease: str, **request: Any):
    return http.post(f"/v1/leases/{lease}/reports", json=request)


def test_a_lease_has_the_shape_of_the_contract(lease: dict[str, Any]) -> None:
    assert set(lease) >= {"lease", "expires_at", "heartbeat_seconds", "assignments"}
    assert lease["heartbeat_seconds"] == 15
    first, second = lease["assignments"]
    assert set(first) >= {
        "study", "trial", "attempt", "purpose", "seeds", "reported", "recipe", "schedule", "until_epoch"
    }  # fmt: skip
    assert (first["study"], first["trial"], first["attempt"], first["purpose"]) == ("mnist-step", 0, 1, "trial")
    assert (first["seeds"], first["reported"], first["until_epoch"]) == ([0], 0, 10)
    assert set(first["recipe"]) >= {"task", "options", "optimizer", "batch_size", "clip_norm", "precision"}
    assert first["schedule"] | {"decay_rate": 0.5} == {
        "family": "step",
        "initial_lr": 0.1,
        "decay_rate": 0.5,
        "step_size": 3,
        "final_factor": 0.0,
        "warmup": 1,
        "warmup_shape": "linear",
        "warmup_start": 0.01,
        "epochs": 10,
    }
    assert second["trial"] == 1


def test_a_report_has_the_shape_of_the_contract(http, lease: dict[str, Any]) -> None:
    point = {"epoch": 1, "seed": 0, "shared": False, "lr_first": 0.1, "lr_last": 0.1, "seconds": 1.2}
    point["metrics"] = {"train_loss": 0.9, "val_loss": 0.8}
    report = {"study": "mnist-step", "trial": 0, "attempt": 1, "points": [point], "result": None}
    stale = {"study": "mnist-step", "trial": 1, "attempt": 7, "points": [point], "result": None}
    answer = _report(http, lease["lease"], hold=2, reports=[report, stale])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) >= {"expires_at", "assignments", "directives", "rejected", "warnings"}
    assert [{key: item[key] for key in ("study", "trial", "attempt")} for item in body["rejected"]] == [
        {"study": "mnist-step", "trial": 1, "attempt": 7}
    ]
    assert body["rejected"][0]["reason"]
    assert body["warnings"] == []


def test_a_cancelled_trial_is_stopped_by_directive(http, lease: dict[str, Any]) -> None:
    http.post("/v1/studies/mnist-step/trials/0/cancel")
    body = _report(http, lease["lease"], reports=[]).json()
    (directive,) = body["directives"]
    assert (directive["study"], directive["trial"], directive["do"]) == ("mnist-step", 0, "stop")
    assert directive["why"]


def test_an_empty_report_is_a_heartbeat_and_repeats_what_was_not_heard_of(http, lease: dict[str, Any]) -> None:
    beat = _report(http, lease["lease"])
    assert beat.status_code == 200
    assert beat.json()["expires_at"] >= lease["expires_at"]
    assert [item["trial"] for item in beat.json()["assignments"]] == [0, 1]


def test_a_new_lease_of_the_same_worker_ends_the_earlier_one(http, lease: dict[str, Any]) -> None:
    again = http.post("/v1/leases", json={"worker": "a", "hold": 2, "tasks": [TASK]}).json()
    assert [(item["trial"], item["attempt"]) for item in again["assignments"]] == [(0, 2), (1, 2)]
    lost = _report(http, lease["lease"])
    assert lost.status_code == 409
    assert lost.headers["content-type"] == "application/problem+json"
    assert _report(http, "nobody").status_code == 404


def test_only_worker_and_hold_are_required_and_hold_may_be_0(http) -> None:
    hello = http.post("/v1/leases", json={"worker": "b", "hold": 0})
    assert hello.status_code == 200
    assert hello.json()["assignments"] == []
    (worker,) = http.get("/v1/workers").json()["items"]
    assert worker["worker"] == "b"
    assert worker["state"] == "idle"
    assert set(worker) >= {"device", "versions", "tasks", "holds", "last_seen"}


def test_release_is_204_twice_and_gives_the_trials_back(http, lease: dict[str, Any]) -> None:
    for _ in range(2):
        gone = http.delete(f"/v1/leases/{lease['lease']}")
        assert (gone.status_code, gone.content) == (204, b"")
    taken = http.post("/v1/leases", json={"worker": "c", "hold": 2, "tasks": [TASK]}).json()
    assert [(item["trial"], item["attempt"]) for item in taken["assignments"]] == [(0, 2), (1, 2)]


def test_external_trials_are_handed_out_only_where_named_and_may_carry_the_value(http, external) -> None:
    http.post("/v1/studies", json=external)
    assert http.post("/v1/leases", json={"worker": "a", "hold": 1}).json()["assignments"] == []
    lease = http.post("/v1/leases", json={"worker": "a", "hold": 1, "study": "loop"}).json()
    assert lease["study_state"] == "running"
    report = {"study": "loop", "trial": 0, "attempt": 1, "result": {"state": "completed", "value": 0.6}}
    assert _report(http, lease["lease"], hold=0, reports=[report]).json()["rejected"] == []
    assert http.get("/v1/studies/loop/trials/0").json()["value"] == 0.6


def test_a_diverged_trial_is_no_error_and_no_nan(http, external) -> None:
    http.post("/v1/studies", json=external)
    lease = http.post("/v1/leases", json={"worker": "a", "hold": 1, "study": "loop"}).json()
    report = {"study": "loop", "trial": 0, "attempt": 1, "points": [{"epoch": 1, "metrics": {"val_loss": None}}]}
    report["result"] = {"state": "diverged", "error": None, "diverged_at": {"update": 17, "lr": 0.1}}
    assert _report(http, lease["lease"], hold=0, reports=[report]).json()["rejected"] == []
    trial = http.get("/v1/studies/loop/trials/0")
    assert trial.json()["state"] == "diverged"
    assert trial.json()["value"] is None
    assert "NaN" not in trial.text
