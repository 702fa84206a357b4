"""A service behind nginx on the same machine, with TLS and a path before all others: as docs/security.md says it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from lrsearch.client import Client
from lrsearch.errors import InvalidInput, Unavailable

from .. import nginx

HEALTH = {"/livez", "/readyz"}
BEARER = {"Authorization": "Bearer s3cret"}
PLACES = {"{name}": "loop", "{number}": "0", "{trial}": "0", "{lease}": "nobody", "{token}": "0" * 12}
EXTERNAL = {
    "name": "loop",
    "task": "external",
    "epochs": 3,
    "space": {"family": "step", "initial_lr": [0.1, 0.2], "decay_rate": 0.5, "step_size": 1},
    "sampler": "grid",
    "objective": {"metric": "val_loss", "direction": "minimize"},
}


@pytest.fixture(params=["strips the path", "leaves the path"])
def behind(
    request: pytest.FixtureRequest, serving: Callable[..., Any], tmp_path: Path
) -> Iterator[tuple[httpx.Client, str]]:
    """A client without a token at the public address; and the address behind the proxy."""
    for needed, found in (("nginx", nginx.program()), ("openssl", shutil.which("openssl"))):
        if found is None and os.environ.get("CI"):
            pytest.fail(f"{needed} is missing; this must not be skipped here")
        if found is None:
            pytest.skip(f"{needed} is not installed (Debian: apt-get install nginx-light openssl)")
    port, trusted = nginx.free_port(), nginx.certify(tmp_path)
    public = f"https://localhost:{port}/lab"
    one = serving("--public-url", public, "--trusted-proxy", "127.0.0.1", "--log", "json", LRSEARCH_TOKEN="s3cret")
    with (
        nginx.proxy(tmp_path, port, one.port, strips=request.param == "strips the path"),
        httpx.Client(base_url=public, verify=trusted, timeout=30, trust_env=False) as client,
    ):
        yield client, one.url
    assert one.end() == 0
    assert "s3cret" not in (tmp_path / "serve.err").read_text()


def test_behind_a_proxy_nobody_gets_in_without_a_token_and_links_and_events_work(
    behind: tuple[httpx.Client, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, inside = behind
    document = client.get("/openapi.json", headers=BEARER).json()
    assert document["servers"] == [{"url": "/lab"}]
    n_calls = 0
    with httpx.Client(base_url=inside, timeout=30, trust_env=False) as direct:
        for path, methods in document["paths"].items():
            filled = path
            for place, value in PLACES.items():
                filled = filled.replace(place, value)
            for method in methods:
                n_calls += 1
                expected = 200 if path in HEALTH else 401
                for door in (client, direct):
                    assert door.request(method, filled).status_code == expected, (method, path)
                    wrong = door.request(method, filled, headers={"Authorization": "Bearer wrong"})
                    assert wrong.status_code == expected
    assert n_calls > 30
    assert client.get("/v1/studies", headers=BEARER | {"Host": "evil.example"}).status_code == 403

    made = client.post("/v1/studies", json=EXTERNAL, headers=BEARER)
    assert made.status_code == 201
    assert made.headers["location"] == "/lab/v1/studies/loop"
    assert "strict-transport-security" in made.headers
    found = client.get(urljoin(str(made.request.url), made.headers["location"]), headers=BEARER)
    assert found.json()["name"] == "loop"

    with client.stream("GET", "/v1/studies/loop/events", headers=BEARER) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert any(line.startswith("data:") for line in _until_blank(lines))
        assert client.post("/v1/studies/loop/cancel", headers=BEARER).status_code == 200
        assert any('"cancelled"' in line for line in lines)  # it came at once: the study's end ends the stream

    server = str(client.base_url).rstrip("/")
    with Client(server, "s3cret", patience=0) as stranger, pytest.raises(Unavailable) as refused:
        stranger.studies()
    assert "is not trusted" in str(refused.value)
    assert "SSL_CERT_FILE" in str(refused.value)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(InvalidInput, match=r"SSL_CERT_FILE .*none\.pem.*No such file"):
        Client(server)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with Client(server, "s3cret") as trusting:
        trusting.create(EXTERNAL | {"name": "own"})
        for trial in trusting.trials("own", spool=tmp_path / "spool"):
            with trial:
                for epoch in range(trial.epochs):
                    trial.report(val_loss=trial.schedule.initial_lr / (epoch + 1))
        assert trusting.best("own").value == pytest.approx(0.1 / 3)
        assert {event.KIND for event in trusting.events("own")} >= {"study", "trials", "best"}
        assert len(trusting.workers()) == 1


SMALL = """
name: small
task: least-squares
epochs: 4
sampler: random
space: {family: step, initial_lr: {low: 1e-3, high: 0.3, log: true}}
budget: {trials: 3}
"""


@pytest.mark.slow  # processes of their own
@pytest.mark.parametrize("behind", ["strips the path"], indirect=True)
def test_workers_and_who_follows_go_through_it(
    behind: tuple[httpx.Client, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRSEARCH_SERVER", str(behind[0].base_url).rstrip("/"))
    monkeypatch.setenv("LRSEARCH_TOKEN", "s3cret")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    (tmp_path / "small.yaml").write_text(SMALL)
    command = [sys.executable, "-P", "-m", "lrsearch.cli"]

    def told(*arguments: str) -> str:
        run = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=120)
        assert run.returncode == 0, run.stderr
        return run.stdout

    with (tmp_path / "worker.err").open("w") as errors:
        worker = subprocess.Popen([*command, "worker"], stderr=errors, stdout=errors)
        try:
            assert "trials: 3 completed" in told("submit", str(tmp_path / "small.yaml"), "--follow")
            assert "small: completed" in told("status", "small", "--follow")
            worker.terminate()
            assert worker.wait(30) == 0
        finally:
            worker.kill()
            worker.wait()
    assert "s3cret" not in (tmp_path / "worker.err").read_text()


def _until_blank(lines: Iterator[str]) -> list[str]:
    found = []
    for line in lines:
        if not line and found:
            break
        found.append(line)
    return found
