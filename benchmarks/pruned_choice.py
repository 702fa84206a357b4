"""Which ASHA setting to try: the mlp grid's own curves, replayed under many settings.

For each training seed the whole grid is trained once, without a pruner, and its curves are read back; every setting
then meets the same curves, decided by the rungs that the service uses. Told are the epochs it would train (shared ones
once, the median of the seeds) and how often the winner is kept, counted as in ``pruned_cost.py``. What is chosen so has
to be judged on other seeds: that is what ``pruned_cost.py`` does.

    python benchmarks/pruned_choice.py [--first-seed 20] [--seeds 20] [--no-record]
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import numpy as np
from machine import describe, record
from product import finished, fresh_server, wait_for_workers
from pruned_cost import judged
from pruning_replay import Replayed, asha
from reference import Reference, cell_name

from lrsearch.launch.machine import default_workers
from lrsearch.trajectory import Plan, first_key

FACTORS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
FIRST_RUNGS = (3, 4, 5, 8, 10, 15, 20, 25, 30, 35, 40, 50)
TOLD = ("winner_is_the_grids", "winner_within_noise", "winner_within_its_own_noise", "winner_as_good_on_other_seeds")


def trained(client: httpx.Client, study: Reference, seed: int) -> list[Mapping[str, Any]]:
    """The grid for a training seed: every trial, by number, its curve under ``losses``; None where it diverged."""
    name, metric = f"grid-{seed}", study.spec.objective.metric or ""
    train = {**study.written["train"], "seed": seed}
    client.post("/v1/studies", json={**study.written, "name": name, "train": train}).raise_for_status()
    finished(client, name)
    items = client.get(f"/v1/studies/{name}/trials?limit=1000").raise_for_status().json()["items"]
    for trial in items:
        curve = client.get(f"/v1/studies/{name}/trials/{trial['number']}/curve").raise_for_status().json()
        losses = [point["metrics"].get(metric) for point in curve["points"]]
        trial["losses"] = losses + [None] * (study.written["epochs"] - len(losses))
    return sorted(items, key=lambda trial: trial["number"])


def replayed(study: Reference, grids: Sequence[Sequence[Mapping[str, Any]]], first: int, factor: int) -> dict[str, Any]:
    """What one setting makes of every seed's grid."""
    plans = [Plan(study.cells[cell_name(trial["params"])], study.updates_per_epoch) for trial in grids[0]]
    keys = [plan.keys(first_key({}, 0))[1:] for plan in plans]
    values = [
        {trial["number"]: math.inf if trial["value"] is None else trial["value"] for trial in its} for its in grids
    ]
    rule = asha(factor, first, same_phase=False)
    epochs, bests = [], []
    for its, value in zip(grids, values, strict=True):
        ends = rule([Replayed(list(trial["losses"]), np.empty(0)) for trial in its])
        epochs.append(len({key for known, end in zip(keys, ends, strict=True) for key in known[:end]}))
        whole = [number for number, end in enumerate(ends) if end == study.written["epochs"]]
        bests.append(min(whole, key=lambda number: (value[number], number)))
    told = judged(bests, values)
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
    rows = [replayed(study, grids, first, factor) for first in FIRST_RUNGS for factor in FACTORS]
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
