"""``lrsearch trials``: what was tried."""

from __future__ import annotations

from typing import Annotated

import typer

from .answers import in_words, print_json, print_table
from .connection import connected
from .options import Database, Json, Server, StudyName, Token


def trials(
    study: StudyName,
    *,
    server: Server = None,
    token: Token = None,
    database: Database = None,
    state: Annotated[str | None, typer.Option("--state", help="Only trials in this state.")] = None,
    order: Annotated[str, typer.Option("--order", help="number, or value: the best first.")] = "number",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List a study's trials."""
    with connected(server, token, database) as verbs:
        page = verbs.list_trials(study, state=state, order=order, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = [
        (t.number, t.state, t.value, t.epochs.trained, t.epochs.shared, in_words(t.params), t.error or "")
        for t in page.items
    ]
    columns = ("trial", "state", "value", "trained", "shared", "params", "error")
    print_table(columns, rows, nothing="There are no such trials yet.")
    if page.next is not None:
        print(f"There are more than {limit}: --limit shows up to 1000.")
