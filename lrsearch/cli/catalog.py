"""``lrsearch catalog``: everything a spec may name."""

from __future__ import annotations

from .answers import print_json
from .connection import connected
from .options import Database, Json, Server, Token


def catalog(server: Server = None, token: Token = None, database: Database = None, as_json: Json = False) -> None:
    """List tasks, families, warm-ups, optimisers, samplers, pruners and export targets."""
    with connected(server, token, database) as verbs:
        found = verbs.catalog()
    if as_json:
        print_json(found)
        return
    for section in type(found).model_fields:
        print(section)
        for entry in getattr(found, section):
            print(f"  {entry.name:<16} {entry.help}")
            names = [parameter.name for parameter in getattr(entry, "parameters", ())]
            if names:
                print(f"  {'':<16} {', '.join(names)}")
