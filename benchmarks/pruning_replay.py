"""What pruning saves and what it loses, replayed on published curves: no training.

    python benchmarks/pruning_replay.py            # needs LRSEARCH_DATA/curves, see docs/pruning.md

Every rule meets the same curves in the same random orders. Told are the share of epochs trained, the regret (the
chosen trial's final loss less the best one's), and how often the best trial is the one chosen.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import describe, record

from lrsearch.search import Rungs, stops
from lrsearch.search.ladder import Ladder, at_shares, n_rungs, shares_of
from lrsearch.study import MedianPruner

WINDOW = 8


class Replayed(NamedTuple):
    """A trial: its loss after each epoch (None from its divergence on), and the share of its decay done by then."""

    losses: list[float | None]
    decay: np.ndarray

    @property
    def final(self) -> float:
        """The last loss; infinite where it diverged."""
        return math.inf if self.losses[-1] is None else self.losses[-1]


Rule = Callable[[Sequence[Replayed]], list[int]]
"""Trials in the order of their numbers -> epochs trained of each."""


def gpt_runs(folder: Path) -> list[Replayed]:
    """124M-parameter GPTs, horizon 25,000 updates, an epoch of 1,000: 36 schedules of 4 peak rates."""
    runs = json.loads((folder / "gpt124m_25k.json").read_text(encoding="utf-8"))["runs"]
    ends = np.arange(1, 26) * 1000
    return [Replayed(_at(run["val_loss"], ends), shares_of(_gpt_rates(run, ends - 1), 1.0)) for run in runs]


def _at(curve: Sequence[Sequence[float]], ends: np.ndarray) -> list[float | None]:
    updates, losses = np.array(curve).T
    return [float(value) for value in np.interp(ends, updates, losses)]


def _gpt_rates(run: dict, updates: np.ndarray) -> np.ndarray:
    """The rate as a share of the peak; the cool-down's exact shape does not move its ends."""
    horizon, warmup, low = run["horizon_updates"], run["warmup_updates"], run["final_factor"]
    if run["family"] == "cosine":
        done = np.clip((updates - warmup) / (horizon - warmup), 0, 1)
        return low + (1 - low) * (1 + np.cos(np.pi * done)) / 2
    begin = horizon * (1 - run["cooldown_fraction"])
    return np.clip((horizon - updates) / (horizon - begin), low, 1)


def taskset_runs(file: Path) -> list[Replayed]:
    """One TaskSet problem: 1,000 Adam configurations of 50 evaluations, an epoch each; 10,000 updates."""
    runs = json.loads(gzip.decompress(file.read_bytes()))
    updates = np.arange(1, 51) * 200 - 1
    made = []
    for run in runs.values() if isinstance(runs, dict) else runs:
        losses = [float(value) if math.isfinite(value) else None for value in run["valid"]["loss"][1:]]
        linear, exponential = run["hp"]["linear_decay"], run["hp"]["exponential_decay"]
        rates = np.maximum(0, 1 - linear * updates) * np.exp(-exponential * updates)
        made.append(Replayed(losses, shares_of(rates, 1.0)))
    return made


def nothing(trials: Sequence[Replayed]) -> list[int]:
    """Every trial to its end."""
    return [len(trial.losses) for trial in trials]


def median(trials: Sequence[Replayed]) -> list[int]:
    """The median rule among completed trials 0..n-8."""
    pruner, trained = MedianPruner(), []
    for number, trial in enumerate(trials):
        end = len(trial.losses)
        past = [n for n in range(max(0, number - WINDOW + 1)) if trained[n] == len(trials[n].losses)]
        its = next(
            (
                e
                for e in range(1, end)
                if stops(pruner, True, trial.losses[:e], [trials[n].losses[e - 1] for n in past])
            ),
            end,
        )
        trained.append(its)
    return trained


def asha(factor: int, first: int, same_phase: bool) -> Rule:
    """Rungs as the service has them."""

    def rule(trials: Sequence[Replayed]) -> list[int]:
        end = len(trials[0].losses)
        marks = tuple(first * factor**k for k in range(n_rungs(first, factor, end)))
        rungs = Rungs(factor, minimize=True)
        for trial in trials:
            epochs = at_shares(trial.decay, [mark / end for mark in marks]) if same_phase else marks
            rungs.begin(Ladder(0, epochs, marks), end)
        rungs.close()
        rungs.advance()
        while wanted := rungs.wanted():
            for number, epoch in wanted:
                loss = trials[number].losses[epoch - 1]
                if epoch < end:
                    rungs.tell(number, epoch, loss)
                else:
                    rungs.tell(number, end, loss)
                    rungs.end(number, "diverged" if loss is None else "completed", loss)
            rungs.advance()
        return [rungs.until(number) for number in range(len(trials))]

    return rule


def rules(end: int) -> Iterator[tuple[str, Rule]]:
    """The rules that are compared; ``first`` as a share of the horizon."""
    yield "none", nothing
    yield "median", median
    for factor, share in ((3, 1 / 27), (3, 1 / 9), (3, 1 / 3), (2, 1 / 2)):
        first = max(1, round(share * end))
        for same_phase in (False, True):
            compare = "same-phase" if same_phase else "same-epoch"
            yield f"asha factor {factor}, from {first / end:.0%}, {compare}", asha(factor, first, same_phase)


def replay(runs: Sequence[Replayed], n_trials: int, repeats: int) -> dict[str, dict[str, float]]:
    """Every rule on the same ``repeats`` samples of ``n_trials`` runs."""
    figures = {}
    for name, rule in rules(len(runs[0].losses)):
        rng = random.Random(0)
        shares, regrets, kept = [], [], []
        for _ in range(repeats):
            trials = rng.sample(list(runs), n_trials)
            trained = rule(trials)
            full = [trial.final for trial, epochs in zip(trials, trained, strict=True) if epochs == len(trial.losses)]
            best = min(trial.final for trial in trials)
            shares.append(sum(trained) / sum(len(trial.losses) for trial in trials))
            regrets.append(min(full) - best)
            kept.append(min(full) == best)
        figures[name] = {
            "epochs_trained": round(statistics.fmean(shares), 3),
            "mean_regret": round(statistics.fmean(regrets), 5),
            "best_kept": round(statistics.fmean(kept), 3),
        }
    return figures


def main() -> None:
    """Replay and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--curves", type=Path, default=Path(os.environ.get("LRSEARCH_DATA", "data")) / "curves")
    given = parser.parse_args()
    if not (given.curves / "gpt124m_25k.json").exists():
        parser.error(f"no curves in {given.curves}: set LRSEARCH_DATA or --curves")
    gpt = gpt_runs(given.curves)
    pools = {"gpt124m, 36 runs": (gpt, 36), "gpt124m, 24 of 36 runs": (gpt, 24)}
    for file in sorted((given.curves / "taskset").glob("*.json.gz")):
        pools[f"taskset {file.name.removesuffix('.json.gz')}, 64 of 1000"] = (taskset_runs(file), 64)
    for pool, (runs, n_trials) in pools.items():
        figures = replay(runs, n_trials, given.repeats)
        print(f"\n{pool}\n{'rule':44} epochs trained   mean regret   best kept")
        for name, row in figures.items():
            print(f"{name:44} {row['epochs_trained']:14.0%} {row['mean_regret']:13.4f} {row['best_kept']:11.0%}")
        record("pruning_replay", describe(), {"pool": pool, "repeats": given.repeats, "rules": figures})


if __name__ == "__main__":
    main()
