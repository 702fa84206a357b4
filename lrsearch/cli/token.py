"""``lrsearch token``: who may call the service."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from .answers import print_json, print_table
from .connection import administered
from .moments import in_minutes, moment
from .options import Database, Json, Server, Token

if TYPE_CHECKING:
    from ..study import Token as Known

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

    ends = None if expires is None else moment(expires, "--expires")
    request = TokenRequest.read({"name": name, "scopes": tuple(scopes), "expires_at": ends})
    with administered(server, token, database) as verbs:
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
    with administered(server, token, database) as verbs:
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
                in_minutes(it.created_at),
                in_minutes(it.expires_at),
                in_minutes(it.last_used_at),
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
    with administered(server, token, database) as verbs:
        verbs.revoke_token(token_id)
    print(f"Token {token_id} is revoked.")
