"""Backups of both databases, taken while somebody writes, and put back."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from lrsearch.errors import Conflict, InvalidInput, Unavailable
from lrsearch.store import Store, back_up, put_back
from tests.postgres import programs


@pytest.fixture(autouse=True)
def _postgres_programs(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not database_url.startswith("sqlite"):
        monkeypatch.setenv("PATH", f"{programs()}{os.pathsep}{os.environ['PATH']}")


def contents(url: str):
    """Every study by name, and its trials' numbers."""
    store = Store(url)
    with store.transaction(write=False) as tx:
        found = {study.name: (study, sorted(tx.trials.stands(study.name))) for study in tx.studies.page().items}
        events = {name: tx.events.after(name, 0, limit=100) for name in found}
    store.close()
    return found, events


@pytest.fixture
def filled(store: Store, study, trial) -> Store:
    with store.transaction() as tx:
        tx.studies.add(study("a"))
        tx.trials.add("a", [trial(number) for number in range(3)])
    return store


def test_a_backup_is_put_back_whole(filled, database_url, study, tmp_path):
    file = tmp_path / "backup"
    back_up(database_url, file)
    before = contents(database_url)
    with filled.transaction() as tx:
        tx.studies.delete("a")
        tx.studies.add(study("later"))
    filled.close()
    with pytest.raises(Conflict, match="--force"):
        put_back(database_url, file)
    assert list(contents(database_url)[0]) == ["later"]
    put_back(database_url, file, force=True)
    assert contents(database_url) == before
    again = Store(database_url)
    with again.transaction() as tx:
        tx.studies.change("a", state="running")
    with again.transaction(write=False) as tx:  # ids go on where they were
        ids = [event.id for event in tx.events.after("a", 0, limit=100)]
    assert ids == sorted(set(ids))
    assert len(ids) == len(before[1]["a"]) + 1
    again.close()
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_backup_is_of_one_moment_whoever_writes(filled, database_url, study, tmp_path):
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            with filled.transaction() as tx:  # two studies at a time: a backup never holds one without the other
                tx.studies.add(study(f"l{number}"))
                tx.studies.add(study(f"r{number}"))
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(3):
            back_up(database_url, tmp_path / f"b{number}")
    finally:
        over.set()
        thread.join()
    filled.close()
    for number in range(3):
        put_back(database_url, tmp_path / f"b{number}", force=True)
        names = set(contents(database_url)[0]) - {"a"}
        assert {name[1:] for name in names if name[0] == "l"} == {name[1:] for name in names if name[0] == "r"}


def test_an_existing_file_is_not_replaced_unasked(filled, database_url, tmp_path):
    file = tmp_path / "backup"
    file.write_text("mine")
    with pytest.raises(Conflict, match="--force"):
        back_up(database_url, file)
    assert file.read_text() == "mine"
    back_up(database_url, file, force=True)
    assert file.read_bytes()[:4] != b"mine"


def test_a_backup_to_nowhere_says_so(filled, database_url, tmp_path):
    with pytest.raises(Unavailable, match="nowhere"):
        back_up(database_url, tmp_path / "nowhere" / "file")


def test_what_is_in_use_is_not_replaced(filled, database_url, tmp_path):
    file = tmp_path / "backup"
    back_up(database_url, file)
    with pytest.raises(Unavailable, match=r"in use.*stop the service"):
        put_back(database_url, file, force=True)
    assert list(contents(database_url)[0]) == ["a"]


@pytest.mark.parametrize("how", ["cut", "text", "empty", "missing"])
def test_a_damaged_file_is_refused_before_anything_is_touched(filled, database_url, tmp_path, how):
    file = tmp_path / "backup"
    back_up(database_url, file)
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[: len(whole) // 2], "text": b"hello " * 999, "empty": b"", "missing": b""}[how])
    if how == "missing":
        file.unlink()
    before = contents(database_url)
    filled.close()
    with pytest.raises(InvalidInput, match="backup"):
        put_back(database_url, file, force=True)
    assert contents(database_url) == before


def test_a_backup_of_another_version_says_what_comes_next(filled, database_url, tmp_path):
    file = tmp_path / "backup"
    with filled.transaction() as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    back_up(database_url, file)
    filled.close()
    put_back(database_url, file, force=True)
    again = Store(database_url)
    assert "newer lrsearch" in str(again.versions().lag())
    again.close()


@pytest.mark.parametrize("content", [b"hello " * 9999, b""])
def test_a_backup_replaces_what_can_no_longer_be_read(filled, database_url, tmp_path, content):
    if not filled.embedded:
        return  # a server's files are its own
    file = tmp_path / "backup"
    back_up(database_url, file)
    before = contents(database_url)
    filled.close()
    database = Path(make_url(database_url).database)
    database.write_bytes(content)
    database.with_name(f"{database.name}-wal").write_bytes(b"of another file" * 999)
    put_back(database_url, file, force=True)
    assert contents(database_url) == before
    assert (not content) or database.with_name(f"{database.name}.damaged").read_bytes() == content


@pytest.mark.parametrize("url", ["user:secret@host:1/db?sslmode=require", "user@host/db", "user@host/?password=secret"])
def test_no_password_is_among_the_arguments_of_a_program(tmp_path, monkeypatch, url):
    """Everybody on the machine reads them."""
    program = tmp_path / "pg_dump"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\necho "$PGPASSWORD" > {tmp_path}/password\nexit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with pytest.raises(Unavailable, match="pg_dump failed"):
        back_up(f"postgresql://{url}", tmp_path / "backup")
    arguments = (tmp_path / "arguments").read_text()
    assert "user@host" in arguments
    assert "secret" not in arguments
    assert "***" not in arguments
    assert (tmp_path / "password").read_text() == ("secret\n" if "secret" in url else "\n")


def test_a_missing_program_is_named(filled, database_url, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    if filled.embedded:
        back_up(database_url, tmp_path / "backup")
        return
    with pytest.raises(Unavailable, match="pg_dump is not on PATH: install"):
        back_up(database_url, tmp_path / "backup")
