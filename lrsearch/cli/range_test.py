"""``lrsearch range-test``: which learning rates are good."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .answers import cell, print_json, print_table
from .connection import client
from .exits import INTERRUPTED, STUDY_FAILED, complain
from .options import File, Json, Name, Server, Settings, Tasks, Token

if TYPE_CHECKING:
    from ..study import RangeTestResult, RangeTestSpec

Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw it: a .png, .svg or .pdf file.")]
POLL_SECONDS = 0.5


def range_test(
    file: File,
    *,
    settings: Settings = None,
    name: Name = None,
    tasks: Tasks = None,
    plot: Plot = None,
    server: Server = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Train a fresh model with rising rates and say which are good: at a service if one is named, else here.

    FILE is a range test's spec ({task: digits-mlp} is enough) or a study's, of which task and recipe are taken.
    """
    from ..launch import interruptible
    from ..spec_file import read_range_test

    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    spec = read_range_test(file, settings or (), name=name)
    if not as_json:
        complain([f"{spec.task}: {spec.updates} updates, rates {spec.low:g} to {spec.high:g}"])
    try:
        with interruptible():
            result = _here(spec, tasks or []) if server is None else _there(spec, server, token)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if plot is not None:
        result.plot(plot, title=f"range test of {spec.task}")
    if as_json:
        print_json(result)
    else:
        print_range_test(result)


def _here(spec: RangeTestSpec, tasks: list[str]) -> RangeTestResult:
    from ..local_range_test import task_range_test

    return task_range_test(spec, tasks=tasks)


def _there(spec: RangeTestSpec, server: str, token: str | None) -> RangeTestResult:
    import time

    from ..study import ENDED

    with client(server, token) as verbs:
        test, _ = verbs.range_test(spec)
        complain(test.warnings)
        while test.state not in ENDED:
            time.sleep(POLL_SECONDS)
            test = verbs.range_test_named(test.name)
    if test.result is None:
        complain([f"range test `{test.name}` {test.state}: {test.error}"])
        raise typer.Exit(STUDY_FAILED)
    return test.result


def print_range_test(result: RangeTestResult) -> None:
    """The answer in words, each rule's rate, and what to paste into a space."""
    print(result.verdict)
    print_table(("rule", "rate"), [(rule, cell(rate)) for rule, rate in result.suggestions.items()], nothing="")
    if result.initial_lr is not None:
        low, high = result.initial_lr.low, result.initial_lr.high
        print(f"in a study's space:  initial_lr: {{low: {low:g}, high: {high:g}, log: true}}")
