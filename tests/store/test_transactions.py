from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from lrsearch.errors import InvalidInput, Unavailable
from lrsearch.store import Store, database
from lrsearch.study import now


def test_a_transaction_is_undone_by_an_exception(store, study, trial):
    def add():
        with store.transaction() as tx:
            tx.studies.add(study("s"))
            tx.trials.add("s", [trial(0)])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        add()
    with store.transaction() as tx:
        assert tx.studies.find("s") is None
        tx.studies.add(study("s"))


def test_readers_see_the_moment_they_began(store, study):
    with store.transaction() as tx:
        tx.studies.add(study("s"))
    with store.transaction(write=False) as reader:
        assert [name for name, _ in reader.studies.open_owned()] == ["s"]
        with store.transaction() as tx:
            tx.studies.add(study("t"))
            tx.studies.change("s", state="paused")
        assert [name for name, _ in reader.studies.open_owned()] == ["s"]
        assert reader.studies.get("s").state == "queued"
    with store.transaction(write=False) as reader:
        assert [name for name, _ in reader.studies.open_owned()] == ["t"]


def test_readers_do_not_wait_for_a_writer(store, study):
    with store.transaction() as tx:
        tx.studies.add(study("s"))
        with store.transaction(write=False) as reader:
            assert reader.studies.find("s") is None


def test_readers_cannot_write(store, study):
    with pytest.raises(Unavailable, match="read-only"), store.transaction(write=False) as tx:
        tx.studies.add(study("s"))
    with store.transaction() as tx:
        tx.studies.add(study("s"))


def test_the_clock(store):
    with store.transaction() as tx:
        first = tx.now()
        assert first.utcoffset() == timedelta(0)
        assert abs(first - now()) < timedelta(seconds=5)
        assert tx.now() == first
    time.sleep(0.002)
    with store.transaction(write=False) as tx:
        assert tx.now() > first


def test_writers_take_turns(store, study, trial):
    """Two transactions that lock two studies in opposite order, which row locks alone would bring to a deadlock."""
    with store.transaction() as tx:
        for name in ("a", "b"):
            tx.studies.add(study(name))
            tx.trials.add(name, [trial(0)])

    def change(names):
        for _ in range(5):
            with store.transaction() as tx:
                for name in names:
                    tx.studies.get(name, lock=True)
                    time.sleep(0.002)
                    tx.trials.change(name, 0, attempts=tx.trials.get(name, 0).attempts + 1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, [("a", "b"), ("b", "a")] * 2))
    with store.transaction() as tx:
        assert [tx.trials.get(name, 0).attempts for name in ("a", "b")] == [20, 20]


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_in_memory(url, study):
    store = Store(url)
    store.migrate()

    def add(number):
        with store.transaction() as tx:
            tx.studies.add(study(f"s{number}"))
        with store.transaction(write=False) as tx:
            return tx.studies.get(f"s{number}").name

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(add, range(16))) == [f"s{n}" for n in range(16)]
    with store.transaction(write=False) as tx:
        assert len(tx.studies.open_owned()) == 16
    assert store.versions().newest
    store.close()


def test_a_busy_database(database_url, monkeypatch, study):
    other = Store(database_url)
    other.migrate()
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.2)
    store = Store(database_url)
    entered, leave = threading.Event(), threading.Event()

    def keep():
        with other.transaction():
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=keep)
    thread.start()
    entered.wait(30)
    try:
        with pytest.raises(Unavailable, match="busy"), store.transaction() as tx:
            tx.studies.add(study("s"))
        with store.transaction(write=False) as tx:
            assert tx.studies.find("s") is None
    finally:
        leave.set()
        thread.join()
    with store.transaction() as tx:
        tx.studies.add(study("s"))
    store.close()
    other.close()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://x/y", "postgresql+asyncpg://x/y", "sqlite+aiosqlite://", "sqlite"]
)
def test_urls_of_other_databases_are_refused(url):
    with pytest.raises(InvalidInput, match="sqlite:/// or postgresql://"):
        Store(url)


def test_postgres_by_all_its_names(postgres_url):
    for prefix in ("postgres://", "postgresql://", "postgresql+psycopg://"):
        store = Store(postgres_url.replace("postgresql+psycopg://", prefix))
        store.versions()
        store.close()


def test_the_default_url(monkeypatch, tmp_path):
    monkeypatch.setenv("LRSEARCH_DATABASE_URL", "postgresql://somewhere/else")
    assert Store.default_url() == "postgresql://somewhere/else"
    monkeypatch.delenv("LRSEARCH_DATABASE_URL")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    url = Store.default_url()
    assert url.startswith("sqlite:////")
    assert url.endswith("lrsearch.db")


def test_the_folder_of_a_file_is_made(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/some where/100%/deep/lrsearch.db")
    store.migrate()
    assert store.versions().newest
    store.close()
    assert [file.name for file in (tmp_path / "some where/100%/deep").iterdir()] == ["lrsearch.db"]
