"""``lrsearch audit``: who changed what."""

from __future__ import annotations

from typing import Annotated

import typer

from .answers import print_json, print_table
from .connection import administered
from .moments import moment
from .options import Database, Json, Server, Token


def audit(
    *,
    name: Annotated[str | None, typer.Option("--name", help="Only by tokens of this name.")] = None,
    resource: Annotated[
        str | None, typer.Option("--resource", help="Only of this and what is below it: studies/digits-step, tokens.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="2d, 12h, 4w ago, or a moment like 2027-01-31T00:00:00Z.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    server: Server = None,
    token: Token = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """List who changed what, newest first. With --server (and an admin's token) over HTTP, else beside the database."""
    begun = None if since is None else moment(since, "--since", past=True)
    with administered(server, token, database) as verbs:
        page = verbs.audit(name=name, resource=resource, since=begun, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = [
        (f"{it.at:%Y-%m-%d %H:%M:%S}", it.name, it.token, it.verb, it.resource, it.address, it.request_id)
        for it in page.items
    ]
    columns = ("at (UTC)", "name", "token", "verb", "resource", "address", "request")
    print_table(columns, rows, nothing="There are no such changes.")
    if page.next is not None:
        print(f"There are more than {limit}: --limit shows up to 1000.")
