"""``lrsearch diagnose``: what went wrong in a training, in words."""

from __future__ import annotations

from typing import Annotated

import typer

from .answers import print_json, print_table
from .connection import connected
from .options import Database, Json, Server, StudyName, Token

TrialNumber = Annotated[int | None, typer.Argument(metavar="[TRIAL]", min=0, help="Which trial; default: the best.")]


def diagnose(
    study: StudyName,
    trial: TrialNumber = None,
    *,
    server: Server = None,
    token: Token = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Say what a trial's losses, gradients and updates show."""
    with connected(server, token, database) as verbs:
        found = verbs.diagnosis(study, trial)
    if as_json:
        print_json(found)
        return
    for verdict in found.verdicts:
        print(verdict.words)
    if found.layers:
        print()
        rows = [(its.name, its.state, its.gradient, its.update_ratio, its.dead) for its in found.layers]
        print_table(("layer", "state", "gradient/weights", "update/weights", "dead units"), rows, nothing="")
