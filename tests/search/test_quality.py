"""Does TPE find better schedules than chance, and do equal arms read as equal?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import wilcoxon

from lrsearch.schedules import Schedule
from lrsearch.search import Finish, judge
from lrsearch.study import Outcome, StudySpec

MakeSpec = Callable[..., StudySpec]
Run = Callable[..., list[Outcome]]
Objective = Callable[[Schedule], float | None]


def best(history: list[Outcome]) -> float:
    return min(outcome.value for outcome in history if outcome.value is not None)


def finishes(history: list[Outcome]) -> list[Finish]:
    return [Finish(outcome.value, 20) for outcome in history]


def bests(name: str, seeds: range, make_spec: MakeSpec, run: Run, objective: Objective) -> list[float]:
    return [best(run(make_spec(name, seed), 64, objective, lanes=8)) for seed in seeds]


def test_tpe_beats_random_on_least_squares(make_spec: MakeSpec, run: Run, objective: Objective) -> None:
    seeds = range(4)
    tpe = bests("tpe", seeds, make_spec, run, objective)
    random = bests("random", seeds, make_spec, run, objective)
    assert np.median(tpe) < np.median(random)


@pytest.mark.slow
def test_tpe_beats_random_beyond_chance(make_spec: MakeSpec, run: Run, objective: Objective) -> None:
    tpe = bests("tpe", range(30), make_spec, run, objective)
    random = bests("random", range(30), make_spec, run, objective)
    assert np.median(tpe) < np.median(random)
    assert wilcoxon(tpe, random).pvalue < 0.01


def alike(comparisons: int, repeats: int, n_trials: int, make_spec: MakeSpec, run: Run, objective: Objective) -> int:
    """How many of ``comparisons`` between two random arms say so."""
    same = 0
    for number in range(comparisons):
        arms = {}
        for position, name in enumerate(("a", "b")):
            first = (2 * number + position) * repeats
            specs = [make_spec("random", 10_000 + first + repeat) for repeat in range(repeats)]
            arms[name] = [finishes(run(spec, n_trials, objective, lanes=8)) for spec in specs]
        same += judge(arms, minimize=True).verdict == "no significant difference"
    return same


def test_two_random_arms_are_alike(make_spec: MakeSpec, run: Run, objective: Objective) -> None:
    assert alike(5, 6, 8, make_spec, run, objective) >= 4


@pytest.mark.slow
def test_a_hundred_comparisons_of_random_arms_find_few_differences(
    make_spec: MakeSpec, run: Run, objective: Objective
) -> None:
    assert alike(100, 10, 16, make_spec, run, objective) >= 90
