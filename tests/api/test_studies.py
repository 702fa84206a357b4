"""Studies over HTTP: the contract's shapes and answers."""

from __future__ import annotations

from typing import Any

import pytest

SHORTEST: dict[str, Any] = {"task": "digits-cnn", "epochs": 10, "space": {"family": ["step", "cosine"]}}


def test_the_shortest_spec_is_created_with_every_default(http) -> None:
    answer = http.post("/v1/studies", json=SHORTEST)
    assert answer.status_code == 201
    study = answer.json()
    assert answer.headers["location"] == f"/v1/studies/{study['name']}"
    assert {"name", "owner", "state", "spec", "progress", "best", "warnings", "error"} <= set(study)
    assert {"created_at", "started_at", "finished_at"} <= set(study)
    assert study["state"] == "queued"
    assert study["name"].startswith("digits-cnn-")
    assert study["spec"]["budget"]["trials"] == 32
    assert study["spec"]["sampler"] == {"name": "tpe", "seed": 0, "parallel": 8}
    assert study["spec"]["train"]["optimizer"]["name"]
    assert study["spec"]["objective"]["direction"] in ("minimize", "maximize")
    assert set(study["progress"]) == {"trials", "epochs", "seconds", "cost_in_trainings"}
    assert set(study["progress"]["epochs"]) == {"asked", "trained", "shared", "repeated"}
    assert study["progress"]["seconds"]["elapsed"] == 0
    assert study["created_at"].endswith("Z")
    assert http.get(answer.headers["location"]).json() == study


def test_same_name_and_spec_again_is_200_and_another_spec_409(http, external: dict[str, Any]) -> None:
    first = http.post("/v1/studies", json=external)
    again = http.post("/v1/studies", json=external)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    other = http.post("/v1/studies", json=external | {"epochs": 4})
    assert other.status_code == 409
    assert "epochs" in other.json()["detail"]
    assert len(http.get("/v1/studies").json()["items"]) == 1


def test_an_idempotency_key_makes_one_study(http) -> None:
    key = {"Idempotency-Key": "abc-1"}
    first = http.post("/v1/studies", json=SHORTEST, headers=key)
    again = http.post("/v1/studies", json=SHORTEST, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert http.post("/v1/studies", json=SHORTEST | {"epochs": 9}, headers=key).status_code == 409
    assert len(http.get("/v1/studies").json()["items"]) == 1
    assert http.post("/v1/studies", json=SHORTEST).json()["name"] != first.json()["name"]


def test_studies_are_listed_newest_first_in_pages(http, external: dict[str, Any]) -> None:
    names = [f"s{number}" for number in range(5)]
    for name in names:
        labels = {"team": "vision" if name in ("s1", "s3") else "text"}
        assert http.post("/v1/studies", json=external | {"name": name, "labels": labels}).status_code == 201
    page = http.get("/v1/studies", params={"limit": 2}).json()
    assert set(page) == {"items", "next"}
    seen = [study["name"] for study in page["items"]]
    while page["next"] is not None:
        page = http.get("/v1/studies", params={"limit": 2, "cursor": page["next"]}).json()
        seen += [study["name"] for study in page["items"]]
    assert seen == names[::-1]
    http.post("/v1/studies/s2/cancel")
    assert [s["name"] for s in http.get("/v1/studies?state=cancelled").json()["items"]] == ["s2"]
    assert [s["name"] for s in http.get("/v1/studies?label=team=vision").json()["items"]] == ["s3", "s1"]
    assert len(http.get("/v1/studies?label=team").json()["items"]) == 5


def test_pause_resume_cancel_delete(http, external: dict[str, Any], train) -> None:
    http.post("/v1/studies", json=external)
    assert http.post("/v1/studies/loop/pause").json()["state"] == "paused"
    assert http.post("/v1/leases", json={"worker": "w", "hold": 1, "study": "loop"}).json()["assignments"] == []
    assert http.post("/v1/studies/loop/resume").json()["state"] == "queued"
    train()
    assert http.get("/v1/studies/loop").json()["state"] == "running"
    assert http.delete("/v1/studies/loop").status_code == 409
    assert http.post("/v1/studies/loop/cancel").json()["state"] == "cancelled"
    assert http.post("/v1/studies/loop/resume").status_code == 409
    gone = http.delete("/v1/studies/loop")
    assert (gone.status_code, gone.content) == (204, b"")
    assert http.get("/v1/studies/loop").status_code == 404


def test_patch_sets_budget_and_labels(http, external: dict[str, Any]) -> None:
    http.post("/v1/studies", json=external | {"budget": {"trials": 1}})
    patched = http.patch("/v1/studies/loop", json={"budget": {"trials": 2}, "labels": {"team": "vision"}})
    assert patched.status_code == 200
    assert patched.json()["spec"]["budget"] == {"trials": 2, "epochs": None, "hours": None}
    assert patched.json()["spec"]["labels"] == {"team": "vision"}


def test_a_study_completes_goes_on_with_a_larger_budget_and_ends_with_its_grid(http, external, train) -> None:
    http.post("/v1/studies", json=external | {"budget": {"trials": 1}})
    train(0.5)
    study = http.get("/v1/studies/loop").json()
    assert study["state"] == "completed"
    assert study["best"]["trial"] == 0
    assert study["progress"]["trials"]["completed"] == 1
    assert study["progress"]["epochs"] == {"asked": 3, "trained": 3, "shared": 0, "repeated": 0}
    assert http.patch("/v1/studies/loop", json={"budget": {"trials": 3}}).json()["state"] == "running"
    train(0.4)
    train(0.6)
    assert http.get("/v1/studies/loop").json()["state"] == "completed"
    assert http.patch("/v1/studies/loop", json={"budget": {"trials": 9}}).status_code == 409


def test_best_lists_the_best_first(http, external: dict[str, Any], train) -> None:
    http.post("/v1/studies", json=external)
    assert http.get("/v1/studies/loop/best").json()["items"] == []
    for value in (0.5, 0.3, 0.4):
        train(value)
    items = http.get("/v1/studies/loop/best?top=2").json()["items"]
    assert [item["trial"] for item in items] == [1, 2]
    assert set(items[0]) >= {
        "trial", "value", "params", "schedule", "recipe", "updates_per_epoch", "confirmed", "test", "baseline_value"
    }  # fmt: skip
    assert items[0]["value"] == pytest.approx(0.3)
    assert items[0]["schedule"]["family"] == "step"
    assert len(http.get("/v1/studies/loop/best").json()["items"]) == 3
