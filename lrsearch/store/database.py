"""The database behind a URL: SQLite or Postgres, set up so that both keep the same promises.

Both have one writer at a time: SQLite by ``BEGIN IMMEDIATE``, Postgres by an advisory lock. So no two transactions
can wait for each other in a circle, and what a writer has read stays true until it commits.
"""

from __future__ import annotations

import select
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError

from ..errors import InvalidInput, Unavailable
from .failures import AWAY, meaning, translate

WAIT_SECONDS = 15
"""How long a transaction waits for its turn before the database counts as busy."""
WRITER = 0x6C7273656172
"""Postgres' advisory lock of the one writer ("lrsear")."""

Mode = Literal["read", "write", "migrate"]

BEGIN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "read": ("PRAGMA query_only = 1", "BEGIN"),
        "write": ("PRAGMA query_only = 0", "PRAGMA foreign_keys = 1", "BEGIN IMMEDIATE"),
        # a migration may rebuild a table, and dropping the old one must not delete what refers to it
        "migrate": ("PRAGMA query_only = 0", "PRAGMA foreign_keys = 0", "BEGIN IMMEDIATE"),
    }
)
"""What begins a transaction on SQLite."""


class Database(NamedTuple):
    """An engine for each mode, all on one pool; ``alone``: one connection in all, which its users must share."""

    engines: Mapping[Mode, Engine]
    alone: bool


def connect(address: str) -> Database:
    """The database at ``address``; nothing is opened before the first transaction.

    Raises:
        InvalidInput: it is neither a SQLite nor a Postgres URL.
    """
    url = url_of(address)
    return DIALECTS[url.drivername](url)


def url_of(address: str) -> URL:
    """``address``, taken apart.

    Raises:
        InvalidInput: it is neither a SQLite nor a Postgres URL.
    """
    url: URL | None = None
    with suppress(ArgumentError, ValueError):
        url = make_url(address.replace("postgres://", "postgresql://", 1))
    if url is None or url.drivername not in DIALECTS:
        raise InvalidInput("a database URL begins with sqlite:/// or postgresql:// (the one given does not)")
    return url


def _sqlite(url: URL) -> Database:
    alone = url.database in (None, "", ":memory:")
    options: dict[str, Any] = {"poolclass": StaticPool} if alone else {"pool_size": 16, "max_overflow": 48}
    if not alone:
        options["pool_timeout"] = WAIT_SECONDS
        try:
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"the folder of the database cannot be made: {error.strerror}") from error
    arguments = {"timeout": WAIT_SECONDS, "check_same_thread": False}
    engine = create_engine(url.set(drivername="sqlite+pysqlite"), connect_args=arguments, **options)

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by Python's driver
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = 1")
        connection.execute("PRAGMA journal_size_limit = 67108864")  # what a burst of writes leaves behind, in bytes

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        raw: Any = connection.connection.dbapi_connection
        try:
            for statement in BEGIN[connection.get_execution_options()["mode"]]:
                raw.execute(statement)
        except sqlite3.Error as error:
            raise meaning(error) or Unavailable(AWAY) from error

    if not alone:
        event.listen(engine, "handle_error", _open_anew)
    event.listen(engine, "handle_error", translate)
    modes: tuple[Mode, ...] = ("read", "write", "migrate")
    return Database({mode: engine.execution_options(mode=mode) for mode in modes}, alone)


def _open_anew(context: ExceptionContext) -> None:
    """Close every connection: one to a file that could only be read stays so, also once the file may be written.

    SQLite keeps what they share until the last of them is closed, and that one's cursors with it.
    """
    if getattr(context.original_exception, "sqlite_errorname", "").startswith("SQLITE_READONLY"):
        context.is_disconnect = True
        if context.execution_context is not None:
            context.execution_context.cursor.close()


def _postgres(url: URL) -> Database:
    limits = {"lock_timeout": WAIT_SECONDS, "statement_timeout": 60, "idle_in_transaction_session_timeout": 60}
    settings = "".join(f" -c {name}={seconds}s" for name, seconds in limits.items())
    asked = url.query.get("options", "")
    arguments = {
        "options": f"{asked if isinstance(asked, str) else ' '.join(asked)} -c timezone=UTC{settings}".strip(),
        "connect_timeout": 10,
        "application_name": "lrsearch",
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
    engine = create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        connect_args=arguments,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=30,
        pool_timeout=WAIT_SECONDS,
    )

    @event.listens_for(engine, "checkout")
    def _as_the_server_has_it(connection: Any, *_: object) -> None:
        # once used for reading, a connection would insist on READ WRITE, also where the server is read-only
        connection.read_only = None

    def _one_writer(*first: str) -> Callable[[Connection], None]:
        def _begin(connection: Connection) -> None:
            for statement in (*first, f"SELECT pg_advisory_xact_lock({WRITER})"):
                connection.exec_driver_sql(statement)

        return _begin

    # the pool asks before it lends a connection: a round trip for every transaction
    asks, dialect = engine.dialect.do_ping, cast("Any", engine.dialect)
    dialect.do_ping = lambda connection: _is_silent(connection) or asks(connection)
    event.listen(engine, "handle_error", translate)
    read = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    write, migrate = engine.execution_options(mode="write"), engine.execution_options(mode="migrate")
    event.listen(write, "begin", _one_writer())
    event.listen(migrate, "begin", _one_writer("SET LOCAL statement_timeout = 0"))
    return Database({"read": read, "write": write, "migrate": migrate}, alone=False)


def _is_silent(connection: Any) -> bool:
    """Whether nothing has come on an idle connection, which is then as good as it was: that needs no round trip.

    A server that goes away closes it; where it could not, the keepalives above do.
    """
    if connection.closed or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


DIALECTS: Mapping[str, Callable[[URL], Database]] = MappingProxyType(
    {
        "sqlite": _sqlite,
        "sqlite+pysqlite": _sqlite,
        "postgresql": _postgres,
        "postgresql+psycopg": _postgres,
    }
)
"""How to connect, by what a URL begins with."""
