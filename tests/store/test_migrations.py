from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from lrsearch.errors import Conflict, Unavailable
from lrsearch.service import Service
from lrsearch.store import Store, Transaction, schema
from lrsearch.store.tables import METADATA

SQLITE = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
POSTGRES = (
    "SELECT table_name, column_name, data_type || is_nullable || (coalesce(column_default, '')) "
    "FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace",
)


@pytest.fixture
def empty(database_url: str) -> Iterator[Store]:
    """A store on an empty database."""
    store = Store(database_url)
    yield store
    store.close()


def structure(connection: Connection) -> set[tuple[str, ...]]:
    """Everything that the database knows of its tables."""
    queries = (SQLITE,) if connection.dialect.name == "sqlite" else POSTGRES
    found = {tuple(" ".join(map(str, row)).split()) for query in queries for row in connection.execute(text(query))}
    return {row for row in found if "alembic_version" not in " ".join(row)}


def test_a_database_is_current_once_it_was_migrated(empty, study):
    empty.versions()
    assert not empty.versions().newest
    with pytest.raises(Unavailable, match="lrsearch db migrate"), empty.transaction() as tx:
        tx.studies.find("s")
    empty.migrate()
    assert empty.versions().newest
    with empty.transaction() as tx:
        tx.studies.add(study("s"))
    empty.migrate()
    assert empty.versions().newest
    with empty.transaction() as tx:
        assert tx.studies.get("s") == study("s")


def test_the_migrations_make_the_tables(empty):
    empty.migrate()
    with empty._engines["migrate"].connect() as connection, connection.begin():
        migrated = structure(connection)
        command.downgrade(schema.configuration(connection), "base")
        assert structure(connection) == set()
        METADATA.create_all(connection)
        assert structure(connection) == migrated
    assert len(migrated) > 20


def test_alembic_finds_nothing_to_add(store):
    with store._engines["migrate"].connect() as connection, connection.begin():
        config = schema.configuration(connection)
        config.stdout = io.StringIO()
        command.check(config)


def test_versions_follow_each_other():
    scripts = ScriptDirectory.from_config(schema.configuration())
    revisions = [script.revision for script in scripts.walk_revisions()][::-1]
    assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]
    assert schema.known_versions() == tuple(reversed(revisions))


def test_a_newer_database_is_left_alone(store):
    with store.transaction() as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert not store.versions().newest
    with pytest.raises(Conflict, match="9999"):
        store.migrate()
    with store.transaction() as tx:
        assert tx.connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"


def test_threads_and_processes_migrate_at_once(database_url):
    code = (
        "import sys; from lrsearch.store import Store; store = Store(sys.argv[1]); print('ready', flush=True);"
        "sys.stdin.readline(); store.migrate(); assert store.versions().newest"
    )
    command = [sys.executable, "-c", code, database_url]
    stores = [Store(database_url) for _ in range(4)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        ThreadPoolExecutor(4) as pool,
    ):
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        list(pool.map(Store.migrate, stores))
    assert process.returncode == 0
    for store in stores:
        assert store.versions().newest
        store.close()


def test_a_migration_that_fails_leaves_nothing_behind(empty):
    with empty._engines["write"].connect() as connection, connection.begin():
        connection.execute(text("CREATE TABLE trials (x INTEGER)"))
    with pytest.raises(Exception, match="trials"):
        empty.migrate()
    with empty._engines["write"].connect() as connection, connection.begin():
        connection.execute(text("DROP TABLE trials"))
        assert structure(connection) == set()
    empty.migrate()
    assert empty.versions().newest


@pytest.fixture
def old(empty: Store, study) -> Store:
    """A store whose tables are at the version before the newest, with a study in them."""
    with empty._engines["migrate"].connect() as connection, connection.begin():
        versions = [script.revision for script in ScriptDirectory.from_config(schema.configuration()).walk_revisions()]
        command.upgrade(schema.configuration(connection), versions[1])
        Transaction(connection).studies.add(study("kept"))
    return empty


def test_data_of_the_version_before_is_kept(old, study):
    old.migrate()
    with old.transaction() as tx:
        assert tx.studies.get("kept") == study("kept")
        tx.studies.change("kept", state="running")
        assert [event.KIND for event in tx.events.after("kept", 0, limit=10)] == []
    with old.transaction(write=False) as tx:
        assert [event.KIND for event in tx.events.after("kept", 0, limit=10)] == ["study"]


def test_nothing_works_on_tables_of_another_version(old):
    """Old tables might take some of what is written."""
    found = old.versions()
    for write in (True, False):
        with (
            pytest.raises(Unavailable, match=rf"is at version {found.current}.*{found.wanted}.*lrsearch db migrate"),
            old.transaction(write=write) as tx,
        ):
            tx.studies.get("kept")
    with pytest.raises(Unavailable, match="lrsearch db migrate"):
        Service(old).ready()
    old.migrate()
    Service(old).ready()


def test_what_is_embedded_prepares_itself_and_postgres_waits_for_its_people(old):
    if old.embedded:
        old.prepare()
    else:
        with pytest.raises(Unavailable, match="lrsearch db migrate"):
            old.prepare()
        old.migrate()
    old.prepare()
    assert old.versions().newest


def test_a_sqlite_file_is_copied_before_it_is_migrated(old, database_url, study):
    before = old.versions().current
    kept = old.migrate()
    if not old.embedded:
        assert kept is None
        return
    assert str(kept) == f"{database_url.removeprefix('sqlite:///')}.before-v{old.versions().wanted}.bak"
    copy = Store(f"sqlite:///{kept}")
    assert copy.versions().current == before
    copy.migrate()
    with copy.transaction(write=False) as tx:
        assert tx.studies.get("kept") == study("kept")
    copy.close()
    assert old.migrate() is None


def test_an_empty_file_is_not_copied(empty):
    assert empty.migrate() is None


def test_a_newer_database_is_refused_in_words(store):
    with store.transaction() as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises((Conflict, Unavailable), match=r"9999.*newer lrsearch.*upgrade"):
        store.prepare()
    with pytest.raises(Unavailable, match=r"9999.*newer lrsearch.*upgrade"):
        Service(store).ready()
