"""Which ASHA setting to try: the mlp grid's own curves, replayed under many settings.

For each training seed the whole grid is trained once, without a pruner, and its curves are read back; every setting
then meets the same curves, decided by the rungs that the service uses. Told are the epochs it would train (shared ones
once, the median of the seeds) and how often the winner is kept, counted as in ``pruned_cost.py``. What is chosen so has
to be judged on other seeds: that is what ``pruned_cost.py`` does.

    python benchmarks/pruned_choice.py [--first-seed 20] [--seeds 20] [--no-record]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx
import numpy as np
from machine import describe, record
from product import fresh_server, wait_for_workers
from pruned_cost import cell_values, judged, searched
from pruning_replay import Replayed, asha
from reference import Reference, cell_name

from lrsearch.launch.machine import default_workers
from lrsearch.trajectory import Plan, first_key

FACTORS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
FIRST_RUNGS = (3, 4, 5, 8, 10, 15, 20, 25, 30, 35, 40, 50)
TOLD = ("winner_is_the_grids", "winner_within_noise", "winner_within_its_own_noise", "winner_as_good_on_other_seeds")


class Grid(NamedTuple):
    """One training seed's: every trial's curve, by number, and value."""

    curves: list[Replayed]
    values: dict[int, float]


def trained(client: httpx.Client, study: Reference, seed: int) -> Grid:
    """Train the grid for a training seed; a curve is None from its divergence on."""
    name, metric = f"grid-{seed}", study.spec.objective.metric or ""
    searched(client, study, name, seed)
    values = cell_values(client, name)
    curves = []
    for number in sorted(values):
        curve = client.get(f"/v1/studies/{name}/trials/{number}/curve").raise_for_status().json()
        losses = [point["metrics"].get(metric) for point in curve["points"]]
        curves.append(Replayed(losses + [None] * (study.written["epochs"] - len(losses)), np.empty(0)))
    return Grid(curves, values)


def keys_of(client: httpx.Client, study: Reference, name: str) -> list[list[str]]:
    """What every trial of a study has trained after each epoch, by number: every seed's grid has its cells alike."""
    items = client.get(f"/v1/studies/{name}/trials?limit=1000").raise_for_status().json()["items"]
    schedules = {trial["number"]: study.cells[cell_name(trial["params"])] for trial in items}
    start = first_key({}, 0)
    return [Plan(schedules[number], study.updates_per_epoch).keys(start)[1:] for number in sorted(schedules)]


def replayed(grids: Sequence[Grid], keys: Sequence[Sequence[str]], first: int, factor: int) -> dict[str, Any]:
    """What one setting makes of every seed's grid."""
    rule = asha(factor, first, same_phase=False)
    epochs, bests = [], []
    for curves, values in grids:
        ends = rule(curves)
        epochs.append(len({key for known, end in zip(keys, ends, strict=True) for key in known[:end]}))
        whole = [number for number, end in enumerate(ends) if end == len(keys[number])]
        bests.append(min(whole, key=lambda number: (values[number], number)))
    told = judged(bests, [grid.values for grid in grids])
    setting = {"min_epochs": first, "reduction_factor": factor}
    return {**setting, "epochs": statistics.median(epochs)} | {name: told[name] for name in TOLD}


def main() -> None:
    """Train the grids, replay, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first-seed", type=int, default=20, help="the first training seed")
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--no-record", action="store_true", help="leave benchmarks/results/ as it is")
    told = parser.parse_args()
    study = Reference.named("mlp", quick=False)
    n_workers = default_workers()
    with (
        fresh_server(study, n_workers) as address,
        httpx.Client(base_url=address, trust_env=False, timeout=60) as client,
    ):
        wait_for_workers(client, n_workers)
        grids = [trained(client, study, told.first_seed + seed) for seed in range(told.seeds)]
        keys = keys_of(client, study, f"grid-{told.first_seed}")
    rows = [replayed(grids, keys, first, factor) for first in FIRST_RUNGS for factor in FACTORS]
    rows.sort(key=lambda row: row["epochs"])
    print(
        "first rung, factor: epochs; of",
        told.seeds,
        "winners",
        ", ".join(name.removeprefix("winner_") for name in TOLD),
    )
    for row in rows:
        kept = " ".join(f"{row[name]:2}" for name in TOLD)
        print(f"{row['min_epochs']:3} {row['reduction_factor']:3}: {row['epochs']:7,.0f}   {kept}")
    if not told.no_record:
        line = {"first_seed": told.first_seed, "seeds": told.seeds, "settings": rows}
        record("pruned_choice", describe("lrsearch", "torch", "numpy"), line)


if __name__ == "__main__":
    main()
