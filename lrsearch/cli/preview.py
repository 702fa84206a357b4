"""``lrsearch preview``: a study before it is one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .answers import cell, in_words, print_json, print_table
from .connection import connected
from .exits import complain
from .options import Database, File, Json, Name, Server, Settings, Tasks, Token

if TYPE_CHECKING:
    from ..study import Preview

Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="Draw the curves and their envelope: a .png or .svg file.")
]


def preview(
    file: File,
    *,
    settings: Settings = None,
    name: Name = None,
    plot: Plot = None,
    tasks: Tasks = None,
    server: Server = None,
    token: Token = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Show what a study would be: its first schedules, what it costs, and what is hardly meant. Stores nothing."""
    from ..spec_file import read_study

    spec = read_study(file, settings or (), name=name)
    if tasks and not spec.external:
        from ..in_process import load, opened, require_task

        known = load(tasks)
        require_task(spec, known)
        with opened(database) as service:
            found = service.preview(spec, offer=known[spec.task].offer())
    else:
        with connected(server, token, database) as verbs:
            found = verbs.preview(spec)
    if plot is not None:
        from ..pictures import paint_preview

        paint_preview(plot, found)
    if as_json:
        print_json(found)
    else:
        print_preview(found)
        complain(found.warnings)


def print_preview(found: Preview) -> None:
    """What it costs, and the first schedules with their rates."""
    from .run import cost_words

    print(f"{found.spec.name or found.spec.task}: {cost_words(found)}")
    if found.cells is not None:
        print(f"  the space has {found.cells:,} cells")
    if found.seconds is not None:
        print(f"  about {duration(found.seconds)} of training on one worker, less side by side")
    rows = [
        (
            curve.trial,
            curve.schedule.family,
            in_words({key: value for key, value in curve.params.items() if key != "family"}) or "a baseline",
            f"{cell(curve.lr[0])} .. {cell(max(curve.lr))} .. {cell(curve.lr[-1])}",
        )
        for curve in found.curves
    ]
    if rows:
        print()
        print_table(("trial", "family", "params", "first .. highest .. last rate"), rows, nothing="")
        others = found.looked_at - len(found.curves)
        if others > 0:
            print(f"and {others} more looked at")


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.4 h``."""
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"
