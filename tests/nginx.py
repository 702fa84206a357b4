"""nginx before a service, with TLS, as the docs configure it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs" / "security.md"
MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""


def program() -> str | None:
    """Where nginx is, or None."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def server_block(folder: Path, port: int, upstream: int, *, strips: bool) -> str:
    """The configuration of the docs, on ``port`` of this machine, before the service on ``upstream``."""
    found = re.search(r"```nginx\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    changes = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "lr.example;": "localhost;",
        "/etc/ssl/certs/lr.example.pem": f"{folder}/cert.pem",
        "/etc/ssl/private/lr.example.key": f"{folder}/key.pem",
        "http://127.0.0.1:8000/;": f"http://127.0.0.1:{upstream}{'/' if strips else ''};",
    }
    block = found[1]
    for theirs, ours in changes.items():
        assert block.count(theirs) == 1, theirs
        block = block.replace(theirs, ours)
    return block


def certify(folder: Path) -> ssl.SSLContext:
    """A certificate for localhost in ``folder``; a context that trusts it."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    return ssl.create_default_context(cafile=str(folder / "cert.pem"))


@contextmanager
def proxy(folder: Path, port: int, upstream: int, *, strips: bool) -> Iterator[None]:
    """Within the block nginx answers."""
    nginx = program()
    assert nginx is not None
    block = server_block(folder, port, upstream, strips=strips)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, server=block))
    errors = folder / "error.log"
    process = subprocess.Popen([nginx, "-p", folder, "-e", errors, "-c", folder / "nginx.conf"])
    try:
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, errors.read_text()
                assert time.monotonic() < end
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(10)
