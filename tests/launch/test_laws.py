"""Where a service may listen, what workers are dealt, and what is said when something cannot be had."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lrsearch.client import Client
from lrsearch.errors import InvalidInput, NotAllowed, Unavailable
from lrsearch.launch import Crew, Listener, read_admin_token, read_token, require_token
from lrsearch.launch.machine import ONE_THREAD, deal, default_workers, gpus
from lrsearch.service import Access, Service
from lrsearch.store import Store
from lrsearch.study import TokenRequest


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    store = Store(f"sqlite:///{tmp_path / 'studies.db'}")
    store.migrate()
    yield Service(store)
    store.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1", "LOCALHOST"])
def test_this_machine_needs_no_token(host: str) -> None:
    require_token(host, Access(), Service(Store("sqlite://")))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", "", "localhost.example.org"])
def test_beyond_this_machine_only_with_a_token(host: str, service: Service) -> None:
    require_token(host, Access(token="secret"), service)
    require_token(host, Access(admin_token="secret"), service)
    with pytest.raises(NotAllowed, match="LRSEARCH_TOKEN"):
        require_token(host, Access(crew_token="secret"), service)
    with pytest.raises(NotAllowed):
        Listener(service, host=host, port=0)


@pytest.mark.parametrize(
    "before",
    [{"public_url": "https://lr.example"}, {"allowed_hosts": ("lr.example",)}, {"trusted_proxies": ("127.0.0.1",)}],
)
def test_behind_a_proxy_only_with_a_token_that_can_make_others(before: dict[str, Any], service: Service) -> None:
    access = Access(**before)
    with pytest.raises(NotAllowed, match="behind a proxy"):
        require_token("127.0.0.1", access, service)
    service.create_token(TokenRequest(name="a", scopes=("write",)))
    with pytest.raises(NotAllowed, match="lrsearch token create"):
        require_token("127.0.0.1", access, service)
    admin = service.create_token(TokenRequest(name="a", scopes=("admin",)))
    require_token("127.0.0.1", access, service)
    require_token("0.0.0.0", Access(), service)
    service.revoke_token(admin.id)
    with pytest.raises(NotAllowed):
        require_token("0.0.0.0", Access(), service)


def test_a_database_that_is_away_opens_nothing(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'studies.db'}")
    with pytest.raises(NotAllowed):
        require_token("0.0.0.0", Access(), Service(store))
    store.close()


def test_where_the_token_is_read_from(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    assert read_token({}) is None
    assert read_token({"LRSEARCH_TOKEN": "  "}) is None
    assert read_token({"LRSEARCH_TOKEN_FILE": str(file)}) == "from-file"
    assert read_token({"LRSEARCH_TOKEN": "given", "LRSEARCH_TOKEN_FILE": str(file)}) == "given"
    file.write_text("\n")
    for wrong in (file, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InvalidInput, match="LRSEARCH_TOKEN_FILE"):
            read_token({"LRSEARCH_TOKEN_FILE": str(wrong)})
        with pytest.raises(InvalidInput, match="LRSEARCH_ADMIN_TOKEN_FILE"):
            read_admin_token({"LRSEARCH_ADMIN_TOKEN_FILE": str(wrong)})
    file.write_text("first\n")
    assert read_admin_token({"LRSEARCH_ADMIN_TOKEN_FILE": str(file)}) == "first"
    assert read_admin_token({}) is None


def test_a_client_finds_a_service_below_a_path(service: Service) -> None:
    access = Access(token="t", public_url="https://lr.example/lab")
    with Listener(service, port=0, access=access) as listener, Client(f"{listener.url}/lab", "t") as client:
        made = client.create_token({"name": "ann", "scopes": ["read"]})
        assert [token.id for token in client.tokens().items] == [made.id]
        client.revoke_token(made.id)
        with Client(f"{listener.url}/lab/", made.token) as late, pytest.raises(NotAllowed, match="revoked"):
            late.studies()
        assert [entry.verb for entry in client.audit(name="local", resource="tokens").items] == ["revoke", "create"]


def test_a_listener_answers_until_it_is_stopped(service: Service) -> None:
    with Listener(service, port=0) as listener:
        assert listener.port > 0
        assert httpx.get(f"{listener.url}/livez").json() == {"status": "ok"}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{listener.url}/livez")
    again = Listener(service, port=listener.port)  # the port is free again at once
    again.stop()


def test_a_taken_port_is_said(service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port}.*--port"):
            Listener(service, port=port)
    with pytest.raises(Unavailable, match="cannot listen"):
        Listener(service, host="no.such.host.invalid", access=Access(token="t"), port=0)


def test_what_is_dealt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [dealt.get("CUDA_VISIBLE_DEVICES") for dealt in deal(3, ["0", "1"])] == ["0", "1", "0"]
    assert deal(2, []) == [dict.fromkeys(ONE_THREAD, "1")] * 2
    assert deal(0, ["0"]) == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a, 3")
    assert gpus() == ["GPU-a", "3"]
    assert default_workers() == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == []
    assert default_workers() == len(os.sched_getaffinity(0))


def test_a_worker_that_cannot_start_is_started_again_more_and_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    with Crew("no-address", 1) as crew:
        end = time.monotonic() + 30
        while crew.restarts < 2 and time.monotonic() < end:
            crew.tend()
            time.sleep(0.02)
        assert crew.restarts == 2
        assert crew.pids == []
    waits = [record.args[-1] for record in caplog.records if isinstance(record.args, tuple)]
    assert waits == [0.5, 1.0]


def test_a_crew_dies_with_whoever_holds_it() -> None:
    program = (
        "import os, sys, time\n"
        "from lrsearch.launch import Crew\n"
        "crew = Crew('http://127.0.0.1:9', 2)\n"
        "crew.tend()\n"
        "print(*crew.pids, flush=True)\n"
        "time.sleep(1)\n"
        "os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end, "workers outlived their parent"
        time.sleep(0.05)
