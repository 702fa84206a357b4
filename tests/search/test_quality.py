"""Does TPE find better schedules than chance, and do equal arms read as equal?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.stats import wilcoxon

from lrsearch.schedules import Schedule
from lrsearch.search import Finish, Suggester, judge
from lrsearch.space import Space
from lrsearch.study import Outcome, StudySpec

MakeSpec = Callable[..., StudySpec]
Run = Callable[..., list[Outcome]]
Objective = Callable[[Schedule], float | None]
Objectives = Callable[[Sequence[Schedule]], list[float | None]]


def best(history: list[Outcome]) -> float:
    return min(outcome.value for outcome in history if outcome.value is not None)


def bests(name: str, seeds: range, make_spec: MakeSpec, run: Run, objective: Objective) -> list[float]:
    return [best(run(make_spec(name, seed), 64, objective, lanes=8)) for seed in seeds]


def test_tpe_beats_random_on_least_squares(make_spec: MakeSpec, run: Run, objective: Objective) -> None:
    seeds = range(4)
    tpe = bests("tpe", seeds, make_spec, run, objective)
    random = bests("random", seeds, make_spec, run, objective)
    assert np.median(tpe) < np.median(random)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_tpe_beats_random_beyond_chance(make_spec: MakeSpec, run: Run, objective: Objective) -> None:
    tpe = bests("tpe", range(30), make_spec, run, objective)
    random = bests("random", range(30), make_spec, run, objective)
    assert np.median(tpe) < np.median(random)
    assert wilcoxon(tpe, random).pvalue < 0.01


def alike(comparisons: int, repeats: int, n_trials: int, make_spec: MakeSpec, objectives: Objectives) -> int:
    """How many of ``comparisons`` between two random arms say so."""

    def repeat(seed: int) -> list[Finish]:
        spec = make_spec("random", 10_000 + seed)
        space, suggester = Space(spec), Suggester(spec)
        schedules = [space.schedule(suggester.suggest(number, []) or {}) for number in range(n_trials)]
        return [Finish(value, 20) for value in objectives(schedules)]

    same = 0
    for first in range(0, 2 * comparisons * repeats, 2 * repeats):
        arms = {
            "a": [repeat(seed) for seed in range(first, first + repeats)],
            "b": [repeat(seed) for seed in range(first + repeats, first + 2 * repeats)],
        }
        same += judge(arms, minimize=True).verdict == "no significant difference"
    return same


def test_two_random_arms_are_alike(make_spec: MakeSpec, objectives: Objectives) -> None:
    assert alike(10, 6, 8, make_spec, objectives) >= 9


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_comparisons_of_random_arms_find_few_differences(make_spec: MakeSpec, objectives: Objectives) -> None:
    assert alike(100, 10, 16, make_spec, objectives) >= 90
