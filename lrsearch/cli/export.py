"""``lrsearch export``: any trial's schedule as code or data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .answers import put_export
from .best import AS_HELP
from .connection import connected
from .options import Database, Server, StudyName, Token
from .rescaling import BatchSize, Epochs, Rule, Updates, UpdatesPerEpoch, rescaling


def export(
    study: StudyName,
    *,
    target: Annotated[str, typer.Option("--as", metavar="TARGET", help=AS_HELP)] = "torch",
    trial: Annotated[int | None, typer.Option("--trial", min=0, help="Which trial; default: the best.")] = None,
    updates_per_epoch: UpdatesPerEpoch = None,
    epochs: Epochs = None,
    updates: Updates = None,
    batch_size: BatchSize = None,
    rule: Rule = "linear",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    server: Server = None,
    token: Token = None,
    database: Database = None,
) -> None:
    """Print a trial's schedule as code or data, or write it to a file."""
    to = rescaling(epochs, updates, batch_size, rule)
    with connected(server, token, database) as verbs:
        put_export(verbs.export(study, trial, target, updates_per_epoch=updates_per_epoch, rescale=to), output)
