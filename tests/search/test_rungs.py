"""The laws of rungs, on tables of values: every trial's curve is known beforehand."""

from __future__ import annotations

import itertools
import random
import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.schedules import Schedule
from lrsearch.search import Rungs, falls_behind, ladder
from lrsearch.search.ladder import Ladder, bracket_of, decay_done, expected_share, n_rungs
from lrsearch.study import AshaPruner, HyperbandPruner, Outcome, RungPruner

Curve = Sequence[float | None]
HORIZON = 9
"""Three rungs of factor 2: at 1, 2, 4 and 8 epochs; two of factor 3: at 1 and 3."""
CONSTANT = Schedule.model_validate({"family": "constant", "initial_lr": 0.1, "epochs": HORIZON})


class Race:
    """Trials with known curves on rungs: trained whenever ``pick`` says, until nothing is left."""

    def __init__(self, curves: Sequence[Curve], pruner: RungPruner, **begins: Any) -> None:
        self.curves = curves
        self.rungs = Rungs(pruner.reduction_factor, minimize=True)
        self.promoted: list[int] = []
        self.trained: dict[int, int] = {}
        self.spared = begins.get("spared", ())
        self.pruner = pruner

    def begin(self) -> None:
        number = len(self.rungs)
        self.rungs.begin(ladder(self.pruner, number, CONSTANT, 1), HORIZON, spared=number in self.spared)
        self.trained[number] = 0

    def can_train(self) -> list[int]:
        return [
            number for number, done in self.trained.items() if done < self.rungs.until(number) and not self.lost(number)
        ]

    def lost(self, number: int) -> bool:
        """Whether its curve has ended, in a divergence, before the trial did."""
        done = self.trained[number]
        return done == len(self.curves[number])

    def train(self, number: int) -> None:
        """One epoch."""
        self.trained[number] += 1
        done, curve = self.trained[number], self.curves[number]
        if done == HORIZON:
            self.rungs.end(number, "completed", curve[-1])
        elif done == len(curve):
            self.rungs.end(number, "diverged", None)
        self.rungs.tell(number, done, curve[done - 1])

    def step(self) -> list[int]:
        promoted = self.rungs.advance()
        self.promoted += promoted
        return promoted

    def run(self, rng: random.Random, lanes: int) -> Race:
        """Begin and train trials at random, at most ``lanes`` of those begun at once."""
        while True:
            ready = self.can_train()[: max(1, lanes)]
            if len(self.rungs) < len(self.curves) and (not ready or rng.random() < 0.3):
                self.begin()
            elif ready:
                self.train(rng.choice(ready))
            elif not self.rungs.closed:
                self.rungs.close()
            else:
                return self
            self.step()

    @property
    def completed(self) -> set[int]:
        return {number for number, done in self.trained.items() if done == HORIZON}


# a curve that is shorter than the horizon diverged
CURVES = st.lists(
    st.one_of(
        st.lists(st.integers(0, 5).map(float), min_size=HORIZON, max_size=HORIZON),
        st.lists(st.integers(0, 5).map(float), min_size=1, max_size=HORIZON - 1),
        st.lists(st.none() | st.integers(0, 5).map(float), min_size=HORIZON - 1, max_size=HORIZON - 1).map(
            lambda curve: [*curve, 1.0]
        ),
    ),
    min_size=1,
    max_size=25,
)
PRUNERS = st.sampled_from(
    [
        AshaPruner(reduction_factor=2),
        AshaPruner(),
        AshaPruner(min_epochs=2),
        HyperbandPruner(),
        HyperbandPruner(reduction_factor=2),
    ]
)


@given(curves=CURVES, pruner=PRUNERS, seeds=st.tuples(st.integers(), st.integers()), lanes=st.integers(1, 30))
def test_the_order_of_training_changes_nothing(curves, pruner, seeds, lanes):
    one = Race(curves, pruner).run(random.Random(seeds[0]), lanes=1)
    many = Race(curves, pruner).run(random.Random(seeds[1]), lanes=lanes)
    assert many.trained == one.trained
    assert one.rungs.finished
    assert many.rungs.finished


@given(curves=CURVES, pruner=PRUNERS, seed=st.integers())
def test_at_least_one_completes_wherever_one_can(curves, pruner, seed):
    race = Race(curves, pruner, spared=()).run(random.Random(seed), lanes=3)
    brackets: dict[int, list[int]] = {}
    for number in range(len(curves)):
        brackets.setdefault(ladder(pruner, number, CONSTANT, 1).bracket, []).append(number)
    for numbers in brackets.values():
        finite = [n for n in numbers if len(curves[n]) == HORIZON and None not in curves[n]]
        assert not finite or race.completed & set(numbers)


@given(curves=CURVES, pruner=PRUNERS, seed=st.integers(), spared=st.sets(st.integers(0, 5)))
def test_baselines_never_wait_and_are_ranked_like_others(curves, pruner, seed, spared):
    spared = {number for number in spared if number < len(curves)}
    race = Race(curves, pruner, spared=spared).run(random.Random(seed), lanes=3)
    assert all(race.trained[number] == len(curves[number]) for number in spared)
    assert not spared & set(race.promoted)


@given(curves=CURVES, pruner=PRUNERS, seed=st.integers())
def test_the_pipeline_over_the_first_trials_is_the_beginning_of_the_whole(curves, pruner, seed):
    """What suggestion n is shown is what the rungs of trials 0..last alone would show it."""
    history = [Outcome(n, "running", None, {}, "sampler") for n in range(len(curves))]
    whole = Race(curves, pruner)
    rng = random.Random(seed)
    checked = -1
    while checked < len(curves) - 1:
        if whole.rungs.settled(checked + 1):
            checked += 1
            alone = Race(curves[: checked + 1], pruner)
            for _ in range(checked + 1):
                alone.begin()
            while ready := alone.can_train():
                alone.train(ready[-1])
                alone.step()
            assert alone.rungs.settled(checked)
            assert whole.rungs.seen(history, checked) == alone.rungs.seen(history, checked)
            continue
        if len(whole.rungs) < len(curves) and rng.random() < 0.4:
            whole.begin()
        elif ready := whole.can_train():
            whole.train(rng.choice(ready))
        elif len(whole.rungs) < len(curves):
            whole.begin()
        whole.step()


def brute_force(curves: Sequence[Curve], factor: int, rungs: Sequence[int]) -> list[list[int]]:
    """Who arrives at each rung, in order: the rule as it is written, recounted from nothing at every arrival."""
    arrivals = [list(range(len(curves)))]
    for epoch in rungs:
        promoted: list[int] = []
        seen: list[tuple[float, int]] = []
        for number in arrivals[-1]:
            curve = curves[number]
            value = curve[epoch - 1] if epoch <= len(curve) else None
            seen.append((float("inf") if value is None else value, number))
            for score, best in sorted(seen)[: len(seen) // factor]:
                if best not in promoted and score < float("inf"):
                    promoted.append(best)
        arrivals.append(promoted)
    return arrivals


@given(curves=CURVES, factor=st.integers(2, 4), seed=st.integers())
def test_agrees_with_the_rule_as_it_is_written(curves, factor, seed):
    pruner = AshaPruner(reduction_factor=factor)
    race = Race(curves, pruner)
    rng = random.Random(seed)
    for _ in curves:
        race.begin()
    while ready := race.can_train():
        race.train(rng.choice(ready))
        race.step()
    rungs = ladder(pruner, 0, CONSTANT, 1).epochs
    for level, arrivals in enumerate(brute_force(curves, factor, rungs)):
        reached = {n for n in race.trained if race.rungs.until(n) >= [*rungs, HORIZON][level]}
        assert reached == set(arrivals)


def table(promising: Mapping[int, float], n_trials: int) -> list[Curve]:
    return [[promising.get(number, 5.0)] * HORIZON for number in range(n_trials)]


def test_the_first_of_reduction_factor_trials_goes_on_at_once():
    race = Race(table({1: 0.0}, 3), AshaPruner())
    for number in range(3):
        race.begin()
        race.train(number)
        assert race.step() == ([1] if number == 2 else [])
    assert [race.rungs.until(n) for n in range(3)] == [1, 3, 1]


def test_an_arrival_waits_for_lower_numbers():
    race = Race(table({2: 0.0}, 3), AshaPruner())
    for _ in range(3):
        race.begin()
    for number in (2, 1):
        race.train(number)
        assert race.step() == []
    race.rungs.end(0, "failed", None)
    assert race.step() == []  # only two arrivals: nothing is known of one that failed
    race.rungs.close()
    assert race.step() == [2]


def test_a_diverged_trial_is_an_arrival():
    race = Race(table({1: 0.0}, 3), AshaPruner())
    for _ in range(3):
        race.begin()
    race.rungs.end(0, "diverged", None)
    race.train(1)
    race.train(2)
    assert race.step() == [1]


def test_the_best_that_diverges_later_makes_room_for_the_next():
    curves: list[Curve] = [[1.0] * 4, [2.0] * HORIZON, [3.0] * HORIZON]
    race = Race(curves, AshaPruner()).run(random.Random(0), lanes=1)
    assert race.trained == {0: 4, 1: HORIZON, 2: 1}


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_one_that_ends_after_its_arrival_keeps_its_place(state):
    race = Race(table({0: 0.0}, 6), AshaPruner())
    for number in range(6):
        race.begin()
        race.train(number)
        race.step()
    assert race.promoted == [0, 1]
    race.rungs.end(0, state, None)
    race.step()
    shown = race.rungs.seen([Outcome(n, "running", None, {}, "sampler") for n in range(6)], 1)
    assert [outcome.state for outcome in shown] == ["pruned", "pruned"] + 4 * ["running"]
    assert (shown[0].value, shown[0].mark) == (0.0, 1)


def test_hyperband_deals_its_brackets_in_proportion():
    depth = n_rungs(1, 3, 81)
    assert depth == 4
    dealt = [bracket_of(number, depth, 3) for number in range(1000)]
    sizes = [81, 34, 15, 8, 5]  # table 1 of the paper
    for n in (20, 143, 1000):
        counts = [dealt[:n].count(bracket) for bracket in range(5)]
        assert all(abs(count - n * size / 143) < 2.5 for count, size in zip(counts, sizes, strict=True))


@given(number=st.integers(0, 10**6), first=st.integers(1, 50), factor=st.integers(2, 5), end=st.integers(2, 1000))
def test_ladders_rise_below_the_horizon(number, first, factor, end):
    schedule = Schedule.model_validate({"family": "cosine", "initial_lr": 0.1, "epochs": end})
    for pruner in (
        AshaPruner(min_epochs=first, reduction_factor=factor),
        HyperbandPruner(min_epochs=first, reduction_factor=factor),
    ):
        its = ladder(pruner, number, schedule, 10)
        assert list(its.epochs) == sorted(set(its.epochs))
        assert all(first <= epoch < end for epoch in its.epochs)
        phased = ladder(pruner.model_copy(update={"compare": "same-phase"}), number, schedule, 10)
        assert (phased.bracket, phased.marks) == (its.bracket, its.epochs)
        assert list(phased.epochs) == sorted(phased.epochs)
        assert all(1 <= epoch <= end for epoch in phased.epochs)


@pytest.mark.parametrize(
    ("schedule", "epochs"),
    [
        ({"family": "constant"}, (1, 3, 9)),  # no decay: its time counts
        ({"family": "constant", "warmup": 5}, (1, 3, 9)),
        ({"family": "cosine"}, (4, 6, 11)),  # sin^2: slow at first
        ({"family": "step", "decay_rate": 0.1, "step_size": 10}, (11, 11, 11)),
        ({"family": "exponential", "decay_rate": 0.5}, (1, 1, 1)),
        ({"family": "cosine", "warmup": 9}, (12, 13, 17)),  # the warm-up is no decay
    ],
)
def test_same_phase_lies_where_the_decay_is(schedule: dict[str, Any], epochs: tuple[int, ...]):
    pruner = AshaPruner(compare="same-phase")
    made = Schedule.model_validate({"initial_lr": 0.1, "epochs": 27} | schedule)
    assert ladder(pruner, 0, made, 100).epochs == epochs


@given(
    family=st.sampled_from(
        [
            {"family": "constant"},
            {"family": "cosine", "final_factor": 0.1},
            {"family": "exponential", "decay_rate": 0.8},
            {"family": "step", "decay_rate": 0.3, "step_size": 3},
        ]
    ),
    warmup=st.integers(0, 5),
    updates=st.integers(1, 50) | st.none(),
)
def test_the_share_of_the_decay_rises_to_one(family: dict[str, Any], warmup: int, updates: int | None):
    schedule = Schedule.model_validate({"initial_lr": 0.1, "epochs": 12, "warmup": warmup} | family)
    done = decay_done(schedule, updates)
    assert len(done) == 12
    assert done[-1] == 1
    assert all(a <= b for a, b in itertools.pairwise(done))
    assert done[0] >= 0


@pytest.mark.parametrize("maximize", [False, True])
def test_direction(maximize: bool):
    rungs = Rungs(2, minimize=not maximize)
    for number in range(2):
        rungs.begin(Ladder(0, (1,), (1,)), 2)
        rungs.tell(number, 1, float(number))
    assert rungs.advance() == [1 if maximize else 0]


def test_about_one_of_reduction_factor_goes_on():
    """Of n arrivals in random order n / factor are promoted, and at most of the order of sqrt(n) too early."""
    rng = random.Random(0)
    rungs = Rungs(3, minimize=True)
    for number in range(20_000):
        rungs.begin(Ladder(0, (1, 3), (1, 3)), 9)
        rungs.tell(number, 1, rng.random())
        for promoted in rungs.advance():
            rungs.tell(promoted, 3, rng.random())
    rungs.advance()
    goes_on = sum(rungs.until(number) > 1 for number in range(20_000))
    assert 20_000 / 3 <= goes_on <= 20_000 / 3 + 4 * 20_000**0.5


def test_a_trial_takes_little_memory():
    """Thousands wait for good: of each there is its place, its step and its rank, not a table of its own."""
    pruner, rng = AshaPruner(reduction_factor=3), random.Random(0)
    rungs = Rungs(3, minimize=True)

    def arrive(numbers: range) -> int:
        for number in numbers:
            rungs.begin(ladder(pruner, number, CONSTANT, 1), HORIZON)
            rungs.tell(number, 1, rng.random())
            rungs.advance()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first, second = arrive(range(1000)), arrive(range(1000, 5000))
    finally:
        tracemalloc.stop()
    assert (second - first) / 4000 < 600


@given(first=st.integers(1, 20), factor=st.integers(2, 4), end=st.integers(2, 120), hyperband=st.booleans())
def test_the_expected_share_is_the_mean_over_trials(first, factor, end, hyperband):
    """Of 2,000 trials, each of which goes on at a rung with probability 1 / factor, counted epoch by epoch."""
    pruner = (HyperbandPruner if hyperband else AshaPruner)(min_epochs=first, reduction_factor=factor)
    schedule = Schedule.model_validate({"family": "constant", "initial_lr": 0.1, "epochs": end})
    whole = {}
    for number in range(2000):
        climbs = ladder(pruner, number, schedule, 10)
        if climbs not in whole:
            whole[climbs] = sum(factor ** -sum(rung < epoch for rung in climbs.epochs) for epoch in range(1, end + 1))
        whole.setdefault("all", []).append(whole[climbs])
    assert expected_share(pruner, end) == pytest.approx(sum(whole["all"]) / 2000 / end, rel=0.02)


@pytest.mark.parametrize(
    ("own", "others", "stopped"),
    [
        (9.0, [1.0], False),  # fewer than reduction_factor trials
        (9.0, [1.0, 2.0], True),
        (0.5, [1.0, 2.0], False),
        (1.0, [1.0, 2.0], False),  # a tie goes to the newcomer
        (1.5, [1.0, 2.0, 3.0, 4.0, 5.0], False),  # the second of six
        (2.5, [1.0, 2.0, 3.0, 4.0, 5.0], True),
        (9.0, [None, None], False),
        (None, [1.0], True),
    ],
)
def test_a_trial_that_cannot_wait_is_stopped(own: float | None, others: list[float | None], stopped: bool):
    assert falls_behind(AshaPruner(), True, own, others) is stopped
    mirrored = [None if value is None else -value for value in others]
    assert falls_behind(AshaPruner(), False, None if own is None else -own, mirrored) is stopped
