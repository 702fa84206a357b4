"""What Alembic runs: the migrations, within the transaction of the connection it was given."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from lrsearch.store.columns import Moment
from lrsearch.store.tables import METADATA


def as_stored(kind: str, item: Any, _: object) -> str | Literal[False]:
    """How a new migration writes our own types: as what the database has, so that it never imports ours."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Moment) else False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    transactional_ddl=True,
    render_item=as_stored,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
