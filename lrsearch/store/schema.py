"""The versions of the tables: to the newest one, and what is missing where they are not."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Select, column, inspect, select, table

from ..errors import Conflict

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).with_name("migrations")
TABLE = "alembic_version"
_CURRENT: Select[*tuple[Any, ...]] = select(column("version_num")).select_from(table(TABLE))
_NAMED = re.compile(r"v(\d+)_\w+")


class Versions(NamedTuple):
    """The version that tables are at (None: there are none), and the one that this lrsearch works with."""

    current: str | None
    wanted: str

    @property
    def newest(self) -> bool:
        """Whether they are the same."""
        return self.current == self.wanted

    @property
    def known(self) -> bool:
        """Whether this lrsearch can bring the tables to its version."""
        return self.current is None or self.current in known_versions()

    def lag(self) -> str | None:
        """What is missing, and what to do next; None where nothing is."""
        if self.newest:
            return None
        if not self.known:
            return (
                f"the database is at version {self.current}, which this lrsearch does not know (it works with "
                f"{self.wanted}): a newer lrsearch has been here; upgrade this one"
            )
        where = "has no tables yet" if self.current is None else f"is at version {self.current}"
        return f"the database {where}, and this lrsearch works with version {self.wanted}: run `lrsearch db migrate`"


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's settings: the migrations shipped beside this module, run on ``connection``."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest version, within ``connection``'s transaction.

    Raises:
        Conflict: a newer lrsearch has been here.
    """
    found = versions(connection)
    if not found.known:
        raise Conflict(found.lag() or "")
    if not found.newest:
        from alembic import command  # with its templates a tenth of a start's imports, and seldom needed

        command.upgrade(configuration(connection), "head")


def versions(connection: Connection) -> Versions:
    """Where the tables are, and where they should be."""
    current = None
    if inspect(connection).has_table(TABLE):
        current = connection.execute(_CURRENT).scalar_one_or_none()
    return Versions(current, known_versions()[0])


@cache
def known_versions() -> tuple[str, ...]:
    """Every version, the newest first, by the names of their files: ``v0001_the_first_tables.py``."""
    names = (_NAMED.fullmatch(path.stem) for path in (MIGRATIONS / "versions").iterdir() if path.suffix == ".py")
    return tuple(sorted((name[1] for name in names if name is not None), reverse=True))
