"""``lrsearch export``: any trial's schedule as code or data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from .answers import put_export
from .best import AS_HELP
from .connection import Local, connected
from .curves import all_trials
from .options import Database, Server, StudyName, Token
from .rescaling import BatchSize, Epochs, Rule, Updates, UpdatesPerEpoch, rescaling

if TYPE_CHECKING:
    from ..client import Client


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
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="KIND:WHERE", help="The whole study instead: tensorboard:DIR for event files."),
    ] = None,
    server: Server = None,
    token: Token = None,
    database: Database = None,
) -> None:
    """Print a trial's schedule as code or data, or write it to a file; or all that a study measured, with --to."""
    rescale = rescaling(epochs, updates, batch_size, rule)
    with connected(server, token, database) as verbs:
        if to is not None:
            put_study(verbs, study, to)
            return
        put_export(verbs.export(study, trial, target, updates_per_epoch=updates_per_epoch, rescale=rescale), output)


def put_study(verbs: Client | Local, study: str, to: str) -> None:
    """Write what a study measured; ``to`` says as what, and where."""
    kind, _, where = to.partition(":")
    if kind != "tensorboard" or not where:
        raise InvalidInput(f"a study is written to tensorboard:DIR (got {to!r:.100})", field="--to")
    from ..tensorboard import write_events

    trials = all_trials(verbs, study)
    n = write_events(Path(where), verbs.study(study), ((trial, verbs.curve(study, trial.number)) for trial in trials))
    print(f"{n} runs; look at them with: tensorboard --logdir {where}")
