"""What a pruned search costs, in trainings, and whether it keeps the winner: the mlp grid under ASHA, many seeds.

For each training seed the study is POSTed with ASHA to a service that has never seen the seed, and timed; once all are
done, each without a pruner, to learn every cell's value (which reuses what is stored, and is not timed). Between two
timed studies the machine rests: workers store and drop states after a study's end, which is no part of the next one.
The first study's calibration is cold, so its seconds are told apart. A seed counts as kept where
ASHA's winner is the grid's, or where its value lies within the seed noise of it: one standard deviation, over the
seeds, of the values of the cell that wins on the mean. Printed beside: how many lie within the noise of the seed's own
winner, which is larger, as what wins once of 192 noisy values is often a noisy cell; how many cells would do, on the
mean of the seeds; and how often ASHA's winner is as good as the grid's on all the other seeds: its mean there at most
the seed noise above the other's. The setting was chosen by ``pruned_choice.py`` on other seeds.

    python benchmarks/pruned_cost.py [--first-seed 40] [--seeds 20] [--min-epochs 30] [--factor 24] [--no-record]
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from machine import describe, record
from product import finished, fresh_server, wait_for_workers
from reference import Reference
from rivals import Machine

from lrsearch.launch.machine import default_workers

REST_SECONDS = 2.0
"""Before a timed study."""


def searched(client: httpx.Client, study: Reference, name: str, seed: int, **fields: Any) -> dict[str, Any]:
    """POST the study for a training seed; its seconds, epochs and values by cell, once it is completed."""
    train = {**study.written["train"], "seed": seed}
    begun = time.perf_counter()
    client.post("/v1/studies", json={**study.written, "name": name, "train": train, **fields}).raise_for_status()
    found = finished(client, name)
    seconds = time.perf_counter() - begun
    best = client.get(f"/v1/studies/{name}/best").raise_for_status().json()["items"][0]
    return {"seconds": seconds, "epochs": found["progress"]["epochs"], "best": best["trial"], "value": best["value"]}


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first-seed", type=int, default=40, help="those before it were used to choose settings")
    parser.add_argument("--seeds", type=int, default=20, help="how many training seeds")
    parser.add_argument("--min-epochs", type=int, default=30, help="ASHA's first rung")
    parser.add_argument("--factor", type=int, default=24, help="ASHA's reduction factor")
    parser.add_argument("--no-record", action="store_true", help="leave benchmarks/results/ as it is")
    told = parser.parse_args()
    study = Reference.named("mlp", quick=False)
    machine = Machine.measured(study)
    pruner = {"name": "asha", "min_epochs": told.min_epochs, "reduction_factor": told.factor}
    n_workers = default_workers()
    seeds = range(told.first_seed, told.first_seed + told.seeds)
    rows, values = [], []
    with (
        fresh_server(study, n_workers) as address,
        httpx.Client(base_url=address, trust_env=False, timeout=60) as client,
    ):
        wait_for_workers(client, n_workers)
        for seed in seeds:
            time.sleep(REST_SECONDS)
            rows.append(searched(client, study, f"asha-{seed}", seed, pruner=pruner))
            told_of = f"seed {seed}: {rows[-1]['seconds']:.2f} s, {rows[-1]['epochs']['trained']} epochs"
            print(told_of, file=sys.stderr, flush=True)
        for seed in seeds:
            searched(client, study, f"grid-{seed}", seed)
            values.append(cell_values(client, f"grid-{seed}"))
    line = {"pruner": pruner, "first_seed": seeds[0], "seeds": len(seeds)}
    line |= costs(rows, machine.training_seconds) | judged([row["best"] for row in rows], values)
    for what, figure in line.items():
        print(f"{what}: {figure}")
    if not told.no_record:
        record("pruned_cost", describe("lrsearch", "torch", "numpy"), line)


def cell_values(client: httpx.Client, name: str) -> dict[int, float]:
    """Every trial's value; infinite = diverged. Both studies of a seed number their cells alike."""
    items = client.get(f"/v1/studies/{name}/trials?limit=1000").raise_for_status().json()["items"]
    return {trial["number"]: math.inf if trial["value"] is None else trial["value"] for trial in items}


def judged(bests: Sequence[int], values: Sequence[Mapping[int, float]]) -> dict[str, Any]:
    """How often the winner was kept: ``bests`` are the trials that ASHA found, one a seed."""
    means = {cell: statistics.fmean(its[cell] for its in values) for cell in values[0]}
    noises = {cell: statistics.stdev(its[cell] for its in values) if len(values) > 1 else 0.0 for cell in values[0]}
    noise = noises[min(means, key=means.__getitem__)]
    same = within = within_own = would_do = elsewhere = 0
    totals = {cell: math.fsum(its[cell] for its in values) for cell in values[0]}
    for best, its in zip(bests, values, strict=True):
        winner = min(its, key=lambda cell: (its[cell], cell))
        same += best == winner
        within += its[best] <= its[winner] + noise
        within_own += its[best] <= its[winner] + noises[winner]
        ours, theirs = (totals[cell] - its[cell] for cell in (best, winner))
        elsewhere += ours <= theirs + noise * (len(values) - 1)
        would_do += sum(value <= its[winner] + noise for value in its.values())
    return {
        "seed_noise": noise,
        "winner_is_the_grids": same,
        "winner_within_noise": within,
        "winner_within_its_own_noise": within_own,
        "winner_as_good_on_other_seeds": elsewhere,
        "cells_within_noise": round(would_do / len(bests), 1),
    }


def costs(rows: Sequence[Mapping[str, Any]], training_seconds: float) -> dict[str, Any]:
    """What the pruned studies took; the first one's calibration was cold."""
    seconds = [pruned["seconds"] for pruned in rows]
    return {
        "training_seconds": round(training_seconds, 4),
        "first_seconds": round(seconds[0], 3),
        "median_seconds": round(statistics.median(seconds), 3),
        "cost_in_trainings": round(statistics.median(seconds) / training_seconds, 2),
        "first_cost_in_trainings": round(seconds[0] / training_seconds, 2),
        "epochs_trained": [pruned["epochs"]["trained"] for pruned in rows],
    }


if __name__ == "__main__":
    main()
