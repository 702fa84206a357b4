"""Copies of a Postgres database, by Postgres' own programs: pg_dump, pg_restore and psql."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sqlalchemy import URL

from ..errors import Conflict, InvalidInput, Unavailable
from .tables import METADATA

OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lrsearch'"
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'alembic_version'"


def back_up(url: URL, file: Path) -> None:
    """Copy the database to ``file``, in pg_dump's own format, replacing it once the copy is whole.

    Raises:
        Unavailable: pg_dump is missing, or fails; its reason is in the message.
    """
    partial = file.with_name(f"{file.name}.partial")
    try:
        _run(url, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={partial}")
        os.replace(partial, file)
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def put_back(url: URL, file: Path, *, force: bool) -> None:
    """Make the database what ``file`` holds, in one transaction.

    Raises:
        InvalidInput: the file is no dump of ours.
        Conflict: the database has our tables already and ``force`` is not set.
        Unavailable: a program is missing or fails, or the service works with the database.
    """
    with tempfile.TemporaryDirectory(prefix="lrsearch-restore-") as folder:
        script, before = Path(folder) / "restore.sql", Path(folder) / "before.sql"
        try:
            _run(None, "pg_restore", "--no-owner", "--no-privileges", f"--file={script}", str(file.absolute()))
        except Unavailable as error:
            raise InvalidInput(f"{file} is no whole dump of pg_dump: {error}", field="FILE") from error
        if "alembic_version" not in script.read_text(encoding="utf-8", errors="replace"):
            raise InvalidInput(f"{file} is a dump, but none of lrsearch's", field="FILE")
        if _ask(url, TABLES) and not force:
            raise Conflict(f"the database has lrsearch's tables already: --force replaces them by what {file} holds")
        if _ask(url, OTHERS):
            raise Unavailable(
                "the database is in use: stop the service and whatever else works with it, then try again"
            )
        names = [*METADATA.tables, "alembic_version"]
        before.write_text("".join(f'DROP TABLE IF EXISTS "{name}" CASCADE;\n' for name in names))
        _run(
            url,
            "psql",
            *("-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-o", os.devnull),
            "-f",
            str(before),
            "-f",
            str(script),
        )


def _ask(url: URL, query: str) -> int:
    return int(_run(url, "psql", "-X", "-A", "-t", "-c", query))


def _run(url: URL | None, program: str, *arguments: str) -> str:
    """Run one of Postgres' programs; what it printed."""
    found = shutil.which(program)
    if found is None:
        raise Unavailable(
            f"{program} is not on PATH: install Postgres' client programs, of the server's version or newer"
        )
    command, environment = [found, *arguments], dict(os.environ, PGAPPNAME=f"lrsearch {program}")
    if url is not None:
        # the password is not among the arguments, where everybody on this machine could read it
        password = url.query.get("password") if url.password is None else url.password
        address = URL.create(
            "postgresql",
            username=url.username,
            host=url.host,
            port=url.port,
            database=url.database,
            query={name: value for name, value in url.query.items() if name != "password"},
        )
        command.append(f"--dbname={address.render_as_string()}")
        if password is not None:
            environment["PGPASSWORD"] = str(password)
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        reason = " ".join(ran.stderr.split())[-500:] or "it gave no reason"
        raise Unavailable(f"{program} failed: {reason}")
    return ran.stdout
