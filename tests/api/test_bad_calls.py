"""Bad calls: each is answered 4xx with a problem that says why, and nothing changes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lrsearch.service import Service

from .bad_calls import CALLS


def _problem(response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"].startswith("urn:lrsearch:problem:")
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    return body


@pytest.mark.parametrize("case", CALLS)
def test_a_bad_call_is_refused(http, service: Service, external: dict[str, Any], case: str) -> None:
    assert http.post("/v1/studies", json=external).status_code == 201
    lease = http.post("/v1/leases", json={"worker": "a", "hold": 1, "study": "loop"}).json()["lease"]
    method, path, body, status, word = CALLS[case]
    before = [
        service.study("loop"),
        service.trials("loop"),
        service.studies(),
        service.comparisons(),
        service.workers(),
        service.tokens(),
    ]
    curve = service.curve("loop", 0)
    response = http.request(method, path.replace("LEASE", lease), **({} if body is None else {"json": body}))
    assert word in _problem(response, status)["detail"]
    after = [
        service.study("loop"),
        service.trials("loop"),
        service.studies(),
        service.comparisons(),
        service.workers(),
        service.tokens(),
    ]
    assert _but_clocks(after) == _but_clocks(before)
    assert service.curve("loop", 0) == curve


def _but_clocks(things: list[Any]) -> str:
    dumps = json.dumps(
        [thing if isinstance(thing, list) else thing.model_dump(mode="json") for thing in things], default=repr
    )
    return re.sub(r'"elapsed": [0-9.]+', "", dumps)
