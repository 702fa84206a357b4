"""``lrsearch catalog``: everything a spec may name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
        entries = [(entry, names_of(entry)) for entry in getattr(found, section)]
        of_all = shared([names for _, names in entries])
        if of_all:
            print(f"  {'(all of them)':<16} {', '.join(of_all)}")
        for entry, names in entries:
            print(f"  {entry.name:<16} {entry.help}")
            own = [name for name in names if name not in of_all]
            if own:
                print(f"  {'':<16} {', '.join(own)}")


def names_of(entry: Any) -> list[str]:
    """The names of an entry's parameters; none where it has no such thing."""
    return [parameter.name for parameter in getattr(entry, "parameters", ())]


def shared(names: Sequence[Sequence[str]]) -> list[str]:
    """The names that several lists have in common, in the first one's order."""
    return [name for name in names[0] if all(name in others for others in names)] if len(names) > 1 else []
