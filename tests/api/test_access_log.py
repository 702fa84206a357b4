"""What is written down of a request, and what is not."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from starlette.testclient import TestClient

from lrsearch.api import create_app
from lrsearch.launch.log import FORMATTERS, Noteworthy
from lrsearch.service import Access, Service

SECRET = "correct-horse"


@pytest.fixture
def lines(service: Service, caplog: pytest.LogCaptureFixture):
    """``lines(method, path, **more)``: the request's log records; it bears the token unless told otherwise."""
    app = create_app(service, Access(token=SECRET, trusted_proxies=("10.0.0.0/8",)))
    client = TestClient(
        app, base_url="http://lr.example", client=("10.0.0.1", 5), headers={"X-Forwarded-For": "203.0.113.9"}
    )

    def ask(method: str, path: str, **more) -> list[logging.LogRecord]:
        more.setdefault("headers", {"Authorization": f"Bearer {SECRET}"})
        with caplog.at_level(logging.INFO, "lrsearch.access"):
            caplog.clear()
            client.request(method, path, **more)
            return [record for record in caplog.records if record.name == "lrsearch.access"]

    with client:
        yield ask


def test_a_request_is_one_line_of_json(lines) -> None:
    (record,) = lines("GET", "/v1/studies/nobody?x=query-value")
    line = json.loads(FORMATTERS["json"].format(record))
    assert line.pop("ms") >= 0
    assert line.pop("time").endswith("+00:00")
    assert line.pop("id") in record.getMessage()
    assert line == {
        "level": "info",
        "logger": "lrsearch.access",
        "method": "GET",
        "route": "/v1/studies/{name}",
        "status": 422,
        "token": "local",
        "address": "203.0.113.9",
    }


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", f"/v1/studies/nobody?token={SECRET}", {}),
        ("GET", f"/v1/studies/{SECRET}", {}),
        ("GET", f"/{SECRET}", {}),
        ("GET", "/v1/studies", {"headers": {"Authorization": f"Bearer {SECRET}x"}}),
        ("POST", "/v1/studies", {"json": {"name": SECRET, "task": SECRET}}),
        ("POST", "/v1/studies", {"headers": {"Authorization": SECRET, "X-Request-ID": f"{SECRET} \n"}}),
    ],
)
def test_no_secret_query_or_body_is_written(lines, method: str, path: str, more: dict, style: str) -> None:
    (record,) = lines(method, path, **more)
    written = FORMATTERS[style].format(record)
    assert SECRET not in written
    assert "nobody" not in written
    assert "\n" not in written


def test_people_are_spared_the_routine_of_machines(lines) -> None:
    told = Noteworthy()
    assert [told.filter(record) for record in lines("GET", "/livez")] == [False]
    assert [told.filter(record) for record in lines("POST", "/v1/leases", json={"worker": "w", "hold": 0})] == [False]
    assert [told.filter(record) for record in lines("POST", "/v1/leases", json={})] == [True]
    assert [told.filter(record) for record in lines("DELETE", "/v1/leases/nobody")] == [True]
    assert [told.filter(record) for record in lines("GET", "/v1/studies")] == [True]
    assert told.filter(logging.makeLogRecord({"msg": "the database is away"}))


def test_what_breaks_is_one_line_too() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.makeLogRecord({"msg": "it broke", "exc_info": sys.exc_info(), "levelname": "ERROR"})
    line = FORMATTERS["json"].format(record)
    assert "\n" not in line
    assert "ValueError" in json.loads(line)["error"]
