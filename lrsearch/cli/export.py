"""``lrsearch export``: any trial's schedule as code or data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
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
    from ..study import Point, Trial


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
        typer.Option(
            "--to", metavar="KIND:WHERE", help="The whole study: tensorboard:DIR, csv:FILE, optuna:sqlite:///x.db."
        ),
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
    if kind not in KINDS or not where:
        known = "tensorboard:DIR, csv:FILE, or optuna:URL (optuna:sqlite:///x.db, optuna:journal:FILE)"
        raise InvalidInput(f"a study is written to {known} (got {to!r:.100})", field="--to")
    print(KINDS[kind](verbs, study, where))


def _to_tensorboard(verbs: Client | Local, study: str, where: str) -> str:
    from ..tensorboard import write_events

    n = write_events(Path(where), verbs.study(study), _trained(verbs, study))
    return f"{n} runs; look at them with: tensorboard --logdir {where}"


def _to_optuna(verbs: Client | Local, study: str, where: str) -> str:
    from ..search.optuna_storage import write_study

    found = verbs.study(study)
    n = write_study(where, found, _trained(verbs, study), found.best)
    return f"{n} trials; look at them with: optuna-dashboard {where.removeprefix('journal:')}"


def _to_csv(verbs: Client | Local, study: str, where: str) -> str:
    from ..trial_table import csv_lines

    n = -1
    try:
        with Path(where).open("w", encoding="utf-8", newline="") as file:
            for n, line in enumerate(csv_lines(lambda: all_trials(verbs, study))):  # noqa: B007  # the last is used
                file.write(line)
    except OSError as error:
        raise InvalidInput(f"{where} cannot be written: {error.strerror}", field="--to") from None
    return f"{n} trials in {where}"


def _trained(verbs: Client | Local, study: str) -> Iterator[tuple[Trial, list[Point]]]:
    return ((trial, verbs.curve(study, trial.number)) for trial in all_trials(verbs, study))


KINDS: Mapping[str, Callable[[Client | Local, str, str], str]] = MappingProxyType(
    {"tensorboard": _to_tensorboard, "csv": _to_csv, "optuna": _to_optuna}
)
"""What a study is written as."""
