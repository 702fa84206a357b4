"""A Postgres server for tests: of this process alone, on a socket only, gone at the end without a trace."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import psycopg

SECONDS = 60
"""How long the server may take to start or to stop."""
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "shared_buffers": "16MB",
    "autovacuum_naptime": "5s",
}


class Missing(Exception):
    """Postgres' programs are not installed here."""


def programs() -> Path:
    """The folder of the newest installed ``initdb`` and ``postgres``."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if folders:
        return max(folders, key=lambda folder: [int(part) for part in folder.parent.name.split(".")])
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise Missing("Postgres is not installed: no initdb in /usr/lib/postgresql/*/bin or PATH")


def user() -> dict[str, str | int | list[int]]:
    """Whom the server runs as: Postgres refuses root."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def end_with_parent() -> None:
    """Linux: if this process is killed, the server is told to stop."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)


@contextmanager
def server(settings: Mapping[str, str] = MappingProxyType(SETTINGS)) -> Iterator[str]:
    """Start a server; yields the URL of its first database."""
    binaries, owner = programs(), user()
    # a socket's path is short: at most 107 characters
    folder = Path(tempfile.mkdtemp(prefix="lrsearch-pg-", dir="/tmp"))
    try:
        if owner:
            os.chown(folder, int(str(owner["user"])), int(str(owner["group"])))
        data, log = folder / "data", folder / "log"
        make = [
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "lrsearch",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        made = subprocess.run(make, cwd=folder, capture_output=True, text=True, check=False, **owner)
        assert made.returncode == 0, made.stdout + made.stderr
        told = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with log.open("w") as output:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-k", folder, *told],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # it takes no lock
                **owner,
            )
        try:
            url = f"postgresql+psycopg://lrsearch@/postgres?host={folder}"
            _wait_for(process, f"host={folder} user=lrsearch dbname=postgres", log)
            yield url
        finally:
            process.send_signal(signal.SIGINT)  # a fast shutdown: clients are cut off
            process.wait(SECONDS)
    finally:
        shutil.rmtree(folder)


def _wait_for(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)
        else:
            return
