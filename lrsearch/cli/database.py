"""``lrsearch db``: the database behind the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Database

app = typer.Typer(help="The database behind the service.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


@app.callback()
def database_commands() -> None:
    """The database behind the service."""


@app.command("migrate")
def migrate(database: Database = None) -> None:
    """Bring the database's tables to the newest version; a SQLite file is copied beforehand."""
    from ..store import Store

    store = Store(database or Store.default_url())
    try:
        kept = store.migrate()
        version = store.versions().current
    finally:
        store.close()
    if kept is not None:
        print(f"As it was before, it is kept in {kept}.")
    print(f"The database is at the newest version, {version}.")


@app.command("backup")
def backup(file: File, database: Database = None, force: Force = False) -> None:
    """Copy the whole database to FILE, as of one moment; the service may go on meanwhile."""
    from ..store import Store, back_up

    back_up(database or Store.default_url(), file, force=force)
    print(f"Backed up to {file} ({file.stat().st_size / 1e6:.1f} MB).")


@app.command("restore")
def restore(file: File, database: Database = None, force: Force = False) -> None:
    """Make the database what FILE holds; stop the service before."""
    from ..store import Store, put_back

    address = database or Store.default_url()
    put_back(address, file, force=force)
    store = Store(address)
    try:
        lag = store.versions().lag()
    finally:
        store.close()
    print(f"Restored from {file}." + (f" Next: {lag}." if lag else ""))
