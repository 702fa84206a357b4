from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import make_url, text

from lrsearch.errors import InvalidInput, NotFound, Unavailable
from lrsearch.store import Store
from lrsearch.store.failures import meaning


def plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def postgres(postgres_url):
    store = Store(postgres_url)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def sqlite(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/lrsearch.db")
    store.migrate()
    yield store
    store.close()


TERMINATE = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def terminate(url: str) -> int:
    """End every other connection to a database; answers how many."""
    with psycopg.connect(plain(url), autocommit=True) as connection:
        return len(connection.execute(TERMINATE).fetchall())


def test_lost_connections_are_replaced(postgres, postgres_url, study):
    with postgres.transaction() as tx:
        tx.studies.add(study("s"))
    assert terminate(postgres_url) >= 1
    with postgres.transaction() as tx:
        assert tx.studies.get("s") == study("s")


def test_a_connection_lost_within_a_transaction(postgres, postgres_url, study):
    def add():
        with postgres.transaction() as tx:
            tx.studies.add(study("s"))
            terminate(postgres_url)
            tx.studies.add(study("t"))

    with pytest.raises(Unavailable, match="went away"):
        add()
    with postgres.transaction() as tx:
        assert tx.studies.open_owned() == []


def test_a_connection_lost_before_the_commit(postgres, postgres_url, study):
    def add():
        with postgres.transaction() as tx:
            tx.studies.add(study("s"))
            terminate(postgres_url)

    with pytest.raises(Unavailable, match="went away"):
        add()
    with postgres.transaction() as tx:
        assert tx.studies.open_owned() == []


def test_a_database_that_is_not_there(tmp_path):
    urls = [
        f"postgresql://lrsearch@/x?host={tmp_path}",
        "postgresql://lrsearch:secret@127.0.0.1:1/x",
        f"sqlite:///{tmp_path}",
    ]
    for url in urls:
        store = Store(url)
        for verb in (store.versions, store.prepare, store.migrate):
            with pytest.raises(Unavailable, match="LRSEARCH_DATABASE_URL") as raised:
                verb()
            assert "secret" not in str(raised.value)
        store.close()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="folder"):
        Store(f"sqlite:///{tmp_path}/file/lrsearch.db")


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "file").write_text("not a database" * 100)
    store = Store(f"sqlite:///{tmp_path}/file")
    with pytest.raises(Unavailable, match="damaged"):
        store.versions()
    store.close()


def test_a_full_disk(sqlite, study, spec):
    with sqlite.transaction() as tx:
        tx.studies.add(study("s"))
    large = study("large", spec=spec("large", options={"x": ["y" * 60_000]}))

    def fill():
        with sqlite.transaction() as tx:
            pages = tx.connection.execute(text("PRAGMA page_count")).scalar_one()
            tx.connection.execute(text(f"PRAGMA max_page_count = {pages + 2}"))
            tx.studies.add(large)

    with pytest.raises(Unavailable, match="full"):
        fill()
    with sqlite.transaction(write=False) as tx:
        assert [name for name, _ in tx.studies.open_owned()] == ["s"]
        assert tx.connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        tx.connection.execute(text("PRAGMA max_page_count = 1000000"))
    with sqlite.transaction() as tx:
        tx.studies.add(large)


def test_a_read_only_server(postgres, postgres_url, study):
    name = make_url(postgres_url).database
    with psycopg.connect(plain(postgres_url), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
        store = Store(postgres_url)
        with store.transaction(write=False) as tx:  # by the connection that is then used for writing
            assert tx.studies.open_owned() == []
        with pytest.raises(Unavailable, match="read-only"), store.transaction() as tx:
            tx.studies.add(study("s"))
        assert store.versions().newest
        store.close()


def test_text_and_numbers_that_no_column_takes(store, study, trial):
    with store.transaction() as tx:
        tx.studies.add(study("s"))
    with store.transaction(write=False) as tx:
        assert tx.studies.find("é" * 10_000) is None
        for number in (2**63, -(2**70)):
            with pytest.raises(NotFound):
                tx.trials.get("s", number)
    with pytest.raises(InvalidInput, match="surrogates"), store.transaction(write=False) as tx:
        tx.studies.find("\ud800")
    with pytest.raises(InvalidInput), store.transaction() as tx:
        tx.trials.add("s", [trial(0).model_copy(update={"number": 2**63})])


def test_a_study_named_by_nul_does_not_exist(store):
    with pytest.raises((NotFound, InvalidInput)), store.transaction(write=False) as tx:
        tx.studies.get("a\0b")


def test_a_full_disk_is_named_also_where_postgres_lets_nobody_in():
    refusal = psycopg.OperationalError("connection failed: FATAL:  could not write init file")
    assert "is full" in str(meaning(refusal))
    assert "cannot be reached" in str(meaning(psycopg.OperationalError("connection refused")))
