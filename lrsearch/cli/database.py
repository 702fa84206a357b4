"""``lrsearch db``: the database behind the service."""

from __future__ import annotations

import typer

from .options import Database

app = typer.Typer(help="The database behind the service.", no_args_is_help=True)


@app.callback()
def database_commands() -> None:
    """The database behind the service."""


@app.command("migrate")
def migrate(database: Database = None) -> None:
    """Bring the database's tables to the newest version."""
    from ..store import Store

    store = Store(database or Store.default_url())
    try:
        store.migrate()
    finally:
        store.close()
    print("The database is at the newest version.")
