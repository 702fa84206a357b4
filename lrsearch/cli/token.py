"""``lrsearch token``: who may call the service."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from .answers import print_json, print_table
from .connection import client
from .options import Database, Json, Server, Token

if TYPE_CHECKING:
    from ..client import Client
    from ..service import Service
    from ..study import Token as Known

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LENGTH = re.compile(r"([1-9][0-9]{0,5})([mhdw])")

app = typer.Typer(
    help="Who may call the service. With --server (and a token with the scope admin) over HTTP, else beside its "
    "database.",
    no_args_is_help=True,
)


@app.command("create")
def create(
    *,
    name: Annotated[str, typer.Option("--name", help="Whose it is; studies belong to the name that created them.")],
    scopes: Annotated[
        list[str],
        typer.Option(
            "--scope",
            help="read: see everything. write: and change what is its own, and train its own external studies. "
            "worker: train anything. admin: everything. Repeatable.",
        ),
    ],
    expires: Annotated[
        str | None, typer.Option("--expires", help="30d, 12h, 4w, or a moment like 2027-01-31T00:00:00Z.")
    ] = None,
    server: Server = None,
    token: Token = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it, this once: it is stored nowhere."""
    from ..study import TokenRequest

    ends = None if expires is None else moment(expires)
    request = TokenRequest.read({"name": name, "scopes": tuple(scopes), "expires_at": ends})
    with _keeper(server, token, database) as verbs:
        made = verbs.create_token(request)
    if as_json:
        print_json(made)
        return
    end = f"until {made.expires_at:%Y-%m-%d %H:%M} UTC" if made.expires_at else "for good"
    print(f"Token {made.id} of {made.name}: {', '.join(made.scopes)}, {end}. Shown this once:", file=sys.stderr)
    print(made.token)


@app.command("list")
def list_(*, server: Server = None, token: Token = None, database: Database = None, as_json: Json = False) -> None:
    """List tokens, newest first, without their secrets."""
    found: list[Known] = []
    with _keeper(server, token, database) as verbs:
        cursor = None
        while True:
            page = verbs.tokens(limit=1000, cursor=cursor)
            found += page.items
            cursor = page.next
            if cursor is None:
                break
    if as_json:
        print_json(found)
        return
    now = datetime.now(UTC)
    rows = []
    for it in found:
        ended = it.expires_at is not None and it.expires_at <= now
        state = "revoked" if it.revoked_at else "expired" if ended else "good"
        rows.append(
            (
                it.id,
                it.name,
                " ".join(it.scopes),
                state,
                _day(it.created_at),
                _day(it.expires_at),
                _day(it.last_used_at),
            )
        )
    columns = ("id", "name", "scopes", "state", "created", "expires", "last used")
    print_table(columns, rows, nothing="There are no tokens yet.")


@app.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id, as `lrsearch token list` shows it.")],
    *,
    server: Server = None,
    token: Token = None,
    database: Database = None,
) -> None:
    """End a token: within five seconds nobody is let in with it."""
    with _keeper(server, token, database) as verbs:
        verbs.revoke_token(token_id)
    print(f"Token {token_id} is revoked.")


def moment(text: str) -> datetime:
    """``30d`` from now, or a moment as ISO 8601 has it; without a time zone it is in UTC.

    Raises:
        InvalidInput: it is neither, or too far away.
    """
    try:
        if (length := LENGTH.fullmatch(text)) is not None:
            return datetime.now(UTC) + timedelta(**{UNITS[length[2]]: int(length[1])})
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"--expires is a length like 30d, 12h, 4w, or a moment like 2027-01-31T00:00:00Z (got {text!r:.50})",
            field="--expires",
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@contextmanager
def _keeper(server: str | None, token: str | None, database: str | None) -> Iterator[Client | Service]:
    """The service that was named; else the database: whoever may write there needs no token."""
    if server is not None:
        with client(server, token) as verbs:
            yield verbs
        return
    from ..in_process import opened

    with opened(database) as service:
        yield service


def _day(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d %H:%M}"
