"""``lrsearch best``: the best schedule, for people or as code."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import NotFound
from .answers import in_words, print_best, print_json, print_table, put_export
from .connection import connected
from .options import Database, Json, Server, StudyName, Token
from .rescaling import BatchSize, Epochs, Rule, Updates, UpdatesPerEpoch, rescaling

AS_HELP = "Print it for: torch, lightning, transformers, timm, keras, optax, table (CSV), npy, json."
Target = Annotated[str | None, typer.Option("--as", metavar="TARGET", help=AS_HELP)]


def best(
    study: StudyName,
    *,
    target: Target = None,
    updates_per_epoch: UpdatesPerEpoch = None,
    epochs: Epochs = None,
    updates: Updates = None,
    batch_size: BatchSize = None,
    rule: Rule = "linear",
    top: Annotated[int, typer.Option("--top", min=1, max=1000, help="How many to list.")] = 1,
    server: Server = None,
    token: Token = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Show the best schedule; ``--as torch`` prints it as code that runs."""
    to = rescaling(epochs, updates, batch_size, rule)
    with connected(server, token, database) as verbs:
        if target is not None:
            put_export(verbs.export(study, None, target, updates_per_epoch=updates_per_epoch, rescale=to))
            return
        found, described = verbs.leaders(study, top), verbs.study(study)
    if not found:
        raise NotFound(f"no trial of `{study}` has completed yet; see how far it is: lrsearch status {study}")
    if as_json:
        print_json(found)
        return
    print_best(found[0], described)
    if top > 1:
        rows = [(item.trial, item.value, item.schedule.family, in_words(dict(item.params))) for item in found]
        print_table(("trial", "value", "family", "params"), rows, nothing="")
