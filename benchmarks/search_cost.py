"""What a whole search costs, in trainings: lrsearch against the plain loop, Optuna and Ray Tune on the same grids.

    cost = wall time of the whole study / wall time of one plain training of the same recipe on the same machine

Every engine trains the same cells to the same end and validates once an epoch; all of them are measured in one run.
Process start and imports are left out for every engine; lrsearch's calibration is included, cold. The plain loop also
runs some times more, untimed, with another number of threads and disturbed by what exact arithmetic would not notice
(see ``plain_loop``; small layers use one thread anyway, and would repeat themselves to the bit): a cell whose val_loss
changes by more than 0.001 by that is unstable, and its differences are told apart. ``beyond`` counts an engine's stable
cells that differ by more than 3 times the largest such change (or than 3 units in the last place of float32, if it is
smaller). These further trainings take up to six times as long as the plain loop: ``--compare 13`` gives them to every
13th cell only, --quick to every ninth. Without the engine plain there is nothing to compare with:
``max_value_difference`` is null.

    python benchmarks/search_cost.py [--study mlp] [--engine plain --engine lrsearch] [--quick] [--json] [--no-record]
    python benchmarks/search_cost.py --table        # the recorded figures as Markdown
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import torch
from machine import RESULTS, describe, record
from plain_loop import PlainLoop
from product import with_lrsearch
from reference import STUDIES, Reference
from rivals import Machine, Outcome, loop_of, plain, with_optuna, with_ray_tune

ENGINES: Mapping[str, Callable[[Reference, Machine], Outcome]] = MappingProxyType(
    {"plain": plain, "optuna": with_optuna, "ray-tune": with_ray_tune, "lrsearch": with_lrsearch}
)
UNSTABLE = 1e-3
"""A cell whose val_loss differs by more than this between two runs of the plain loop is unstable."""
EPSILON = 2.0**-23
"""One unit in the last place of float32, relative."""
REPEATS = 6
"""How often a stable cell is trained again: of seven values alike, the last is 3 times as far from the first as all
others about once in a thousand cells; of three values, once in thirty."""
QUICK_SHARE = 9
"""With ``--quick`` one cell in so many is trained again; odd, so that all choices of the grid are among them."""
ALLOWED = 3.0
"""How many times what the plain loop differs from itself a stable cell may differ from the plain loop."""
PACKAGES = ("lrsearch", "torch", "optuna", "numpy")


def say(*words: object) -> None:
    """Tell a person: stdout belongs to ``--json``."""
    print(*words, file=sys.stderr, flush=True)


def again(study: Reference, machine: Machine, first: Mapping[str, float], one_in: int) -> dict[str, list[float]]:
    """The plain loop's values with another number of threads, disturbed; fewer of a cell that is found unstable."""
    cells = {cell: first[cell] for cell in list(study.cells)[::one_in]}
    threads = 1 if machine.threads > 1 else machine.cores
    n = min(REPEATS, max(1, machine.cores // threads))  # threads that share a core wait for one another
    with ProcessPoolExecutor(n, mp_context=multiprocessing.get_context("spawn")) as workers:
        seeds = [range(part, REPEATS, n) for part in range(n)]
        parts = [workers.submit(disturbed_values, study.fresh(), cells, threads, its) for its in seeds]
        return {cell: [value for part in parts for value in part.result()[cell]] for cell in cells}


def disturbed_values(
    study: Reference, first: Mapping[str, float], threads: int, seeds: Sequence[int]
) -> dict[str, list[float]]:
    """In a process of its own: what the plain loop makes of some cells, until it differs too much from ``first``."""
    loop: PlainLoop = loop_of(study, threads)
    found: dict[str, list[float]] = {cell: [] for cell in first}
    for cell, values in found.items():
        for seed in seeds:
            values.append(loop.val_loss(study.cells[cell], disturbed=seed))
            if difference(values[-1], first[cell]) > UNSTABLE:
                break
    return found


def difference(one: float, other: float) -> float:
    """Between two losses; 0 where both diverged, infinite where one did."""
    return 0.0 if one == other else abs(one - other)


def row(study: Reference, engine: str, machine: Machine, outcome: Outcome, device: str) -> dict[str, Any]:
    """What ``--json`` prints of an engine, differences aside."""
    asked, distinct = study.epochs
    trained, repeated = outcome.epochs or (asked, asked - distinct)
    return {
        "study": study.name,
        "engine": engine,
        "device": device,
        "seconds": round(outcome.seconds, 3),
        "training_seconds": round(machine.training_seconds, 4),
        "cost_in_trainings": round(outcome.seconds / machine.training_seconds, 2),
        "epochs_asked": asked,
        "epochs_distinct": distinct,
        "epochs_trained": trained,
        "epochs_repeated": repeated,
        "max_value_difference": None,
    } | ({"also": {name: round(seconds, 3) for name, seconds in outcome.also.items()}} if outcome.also else {})


def compare(
    rows: list[dict[str, Any]], values: Mapping[str, Mapping[str, float]], second: Mapping[str, Sequence[float]]
) -> Any:
    """Fill in the differences from the plain loop; answers what is known of the plain loop's difference from itself."""
    first = values["plain"]
    own = {cell: max(difference(first[cell], other) for other in others) for cell, others in second.items()}
    unstable = sorted(cell for cell, itself in own.items() if itself > UNSTABLE)
    stable = [cell for cell in own if own[cell] <= UNSTABLE]
    bounds = {cell: ALLOWED * max(own[cell], EPSILON * abs(first[cell])) for cell in stable}
    beyond = {}
    for line in rows:
        if line["engine"] == "plain" or not stable:
            continue
        theirs = values[line["engine"]]
        worst = max(difference(first[cell], theirs[cell]) for cell in stable)
        line["max_value_difference"] = worst if math.isfinite(worst) else None
        beyond[line["engine"]] = sum(not difference(first[cell], theirs[cell]) <= bounds[cell] for cell in stable)
    return {
        "cells_compared": len(own),
        "own_max_difference": max((own[cell] for cell in stable), default=None),
        "own_median_difference": statistics.median(own.values()),
        "unstable_cells": unstable,
        "beyond": beyond,
    }


def measure(study: Reference, engines: list[str], one_in: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One line an engine, and what is known of the plain loop's difference from itself."""
    asked, distinct = study.epochs
    say(
        f"{study.name}{' (quick)' if study.quick else ''}: {len(study.cells)} cells; {asked:,} epochs asked",
        f"{distinct:,} distinct",
    )
    machine = Machine.measured(study)
    say(f"  one plain training: {machine.training_seconds:.3f} s with {machine.threads} threads of {machine.cores}")
    device = str(loop_of(study, 1).device)
    rows, values = [], {}
    for engine in engines:
        outcome = ENGINES[engine](study, machine)
        values[engine] = outcome.values
        rows.append(row(study, engine, machine, outcome, device))
        say(f"  {engine}: {outcome.seconds:.2f} s, the cost of {rows[-1]['cost_in_trainings']:g} trainings")
    if "plain" not in values or len(values) == 1:
        return rows, {}
    return rows, compare(rows, values, again(study, machine, values["plain"], one_in))


def table(lines: list[dict[str, Any]]) -> str:
    """The newest recorded figures of every study and device, in Markdown."""
    newest = {(line["study"], line["quick"], line["rows"][0]["device"]): line for line in lines}
    text = ["| study | engine | device | seconds | cost in trainings | epochs trained of asked | differs by |"]
    text.append("| --- | --- | --- | --- | --- | --- | --- |")
    for line in newest.values():
        for its in line["rows"]:
            worst = its["max_value_difference"]
            text.append(
                f"| {its['study']}{' (quick)' if line['quick'] else ''} | {its['engine']} | {its['device']} "
                f"| {its['seconds']:.1f} | {its['cost_in_trainings']:.1f} "
                f"| {its['epochs_trained']:,} of {its['epochs_asked']:,} | {'' if worst is None else f'{worst:.1e}'} |"
            )
    return "\n".join(text)


def recorded() -> list[dict[str, Any]]:
    """Every line of the results file."""
    path = RESULTS / "search_cost.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", choices=STUDIES, action="append", help="repeatable; default: mlp")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="repeatable; default: all")
    parser.add_argument("--quick", action="store_true", help="a cut of the study: a minute or two for all engines")
    parser.add_argument(
        "--compare",
        type=int,
        metavar="N",
        help="compare every Nth cell with the plain loop (default: all; with --quick every ninth)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON line an engine, and nothing else, to stdout"
    )
    parser.add_argument("--no-record", action="store_true", help="leave benchmarks/results/ as it is")
    parser.add_argument("--table", action="store_true", help="print what is recorded, and measure nothing")
    told = parser.parse_args()
    if told.table:
        print(table(recorded()))
        return
    one_in = told.compare if told.compare is not None else QUICK_SHARE if told.quick else 1
    if one_in < 1:
        parser.error(f"--compare takes 1 or more, not {one_in}")
    engines = list(dict.fromkeys(told.engine or ENGINES))
    with_ray = "ray-tune" in engines
    if with_ray and find_spec("ray") is None:
        parser.error("the ray-tune engine needs Ray: pip install 'ray[tune]'; or choose others with --engine")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    machine = {**describe(*PACKAGES, *(["ray"] if with_ray else [])), "gpu": gpu}
    for name in dict.fromkeys(told.study or ["mlp"]):
        study = Reference.named(name, quick=told.quick)
        rows, own = measure(study, engines, one_in)
        if told.json:
            print(*map(json.dumps, rows), sep="\n", flush=True)
        line = {"study": name, "quick": told.quick, "rows": rows, **own}
        say(table([line]))
        for what, figure in own.items():
            say(f"  {what}: {figure}")
        if not told.no_record:
            record("search_cost", machine, line)


if __name__ == "__main__":
    main()
