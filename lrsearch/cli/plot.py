"""``lrsearch plot``: a study or a trial as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .connection import connected
from .curves import all_trials
from .options import Database, Server, StudyName, Token

MOST_DRAWN = 256
"""Of more trials the best are drawn."""


def plot(
    study: StudyName,
    *,
    trial: Annotated[int | None, typer.Option("--trial", min=0, help="One trial, in more detail.")] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="A .png or .svg file; default: STUDY.png.")
    ] = None,
    server: Server = None,
    token: Token = None,
    database: Database = None,
) -> None:
    """Draw every schedule tried and its curves, the best marked; or one trial's."""
    from ..pictures import Trained, paint_study, paint_trial

    with connected(server, token, database) as verbs:
        found = verbs.study(study)
        if trial is None:
            trials = all_trials(verbs, study, order="value", most=MOST_DRAWN)
            path = to or Path(f"{study}.png")
            paint_study(path, found, [Trained(one, verbs.curve(study, one.number)) for one in trials])
        else:
            path = to or Path(f"{study}-{trial}.png")
            paint_trial(path, found, Trained(verbs.trial(study, trial), verbs.curve(study, trial)))
    print(path)
