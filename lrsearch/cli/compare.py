"""``lrsearch compare``: samplers against each other at equal budget."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import typer

from .answers import cell, print_json, print_table
from .connection import client
from .exits import INTERRUPTED, STUDY_FAILED, complain
from .options import Database, File, Json, Name, Server, Settings, Tasks, Token

if TYPE_CHECKING:
    from ..study import Comparison, ComparisonSpec


def compare(
    file: File,
    *,
    settings: Settings = None,
    name: Name = None,
    tasks: Tasks = None,
    database: Database = None,
    server: Server = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Compare samplers on one task and space: at a service if one is named, else in this process."""
    from ..spec_file import read_comparison

    spec = read_comparison(file, settings or (), name=name)
    n_studies = len(spec.arms) * spec.repeats
    complain([f"{len(spec.arms)} samplers, {spec.repeats} repeats each: {n_studies} studies"])
    try:
        done = _here(spec, tasks or [], database) if server is None else _there(spec, server, token)
    except KeyboardInterrupt:
        complain(["stopped; the same command continues, if the comparison has a name (--name)"])
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(done)
    else:
        print_comparison(done)
    if done.state != "completed":
        complain([f"comparison `{done.name}` {done.state}"])
        raise typer.Exit(STUDY_FAILED)


def _there(spec: ComparisonSpec, server: str, token: str | None) -> Comparison:
    from .progress import follow_comparison

    with client(server, token) as verbs:
        comparison, _ = verbs.compare(spec)
        return follow_comparison(lambda: verbs.comparison(comparison.name))


def _here(spec: ComparisonSpec, tasks: list[str], database: str | None) -> Comparison:
    from ..in_process import finish, introduce, load, opened, require_task
    from ..launch import interruptible
    from .progress import Display, beside, comparison_words

    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    with interruptible(), opened(database) as service:
        known = load(tasks)
        require_task(spec.spec, known)
        introduce(service, known, spec.spec.task)
        comparison, _ = service.compare(spec)
        with beside(Display(comparison.name), lambda: comparison_words(service.comparison(comparison.name))):
            for study in comparison.studies:
                finish(service, study, tasks=known)
        return service.comparison(comparison.name)


def print_comparison(comparison: Comparison) -> None:
    """Final values of every arm, and who beats whom."""
    result = comparison.result
    if result is None:
        print(f"{comparison.name}: {comparison.state}, nothing to compare yet")
        return
    print(f"{comparison.name}: {result.finished_repeats} repeats, equal budgets")
    rows = []
    for arm in result.arms:
        finite = [value for value in arm.final_values if value is not None]
        epochs = arm.by_epochs.x[-1] if arm.by_epochs.x else None
        rows.append((arm.name, arm.median, min(finite, default=None), max(finite, default=None), len(finite), epochs))
    print_table(("sampler", "median", "lowest", "highest", "repeats", "epochs"), rows, nothing="")
    print()
    duels = [
        (f"{d.a} against {d.b}", f"{d.probability_a_better:.2f}", cell(d.p_value), d.verdict) for d in result.duels
    ]
    print_table(("pair", "first better", "p", "verdict"), duels, nothing="")
    print(f"\n{result.verdict}")
