"""The versions of the tables: to the newest one, and whether a database is there."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from ..errors import Conflict


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's settings: the migrations shipped beside this module, run on ``connection``."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest version, within ``connection``'s transaction.

    Raises:
        Conflict: a newer lrsearch has been here.
    """
    if not is_newest(connection):
        try:
            command.upgrade(configuration(connection), "head")
        except CommandError as error:
            raise Conflict(
                f"the database is at a version that this lrsearch does not know: upgrade it ({error})"
            ) from error


def is_newest(connection: Connection) -> bool:
    """Whether the tables are at the newest version."""
    return MigrationContext.configure(connection).get_current_heads() == _newest()


@cache
def _newest() -> tuple[str, ...]:
    return tuple(ScriptDirectory.from_config(configuration()).get_heads())
