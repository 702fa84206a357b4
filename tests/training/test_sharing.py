"""What is the same is trained once, and sharing changes no bit."""

from __future__ import annotations

import random

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lrsearch.resolve import resolve
from lrsearch.schedules import FAMILIES, Schedule
from lrsearch.search import Suggester
from lrsearch.space import Space
from lrsearch.study import OPTIMIZERS, Assignment, Result, TrainSpec, read_spec
from lrsearch.tasks.catalog import BUILT_IN, CATALOG
from lrsearch.training.prefixes import PrefixStore
from lrsearch.training.trainer import Trainer
from lrsearch.trajectory import Plan, count_epochs, first_key, updates_per_epoch_of


def grid(number, n_trials=40):
    """A random space of schedules that share a lot, by trial."""
    draw = random.Random(number)
    epochs = draw.randint(2, 9)

    def one():
        family = draw.choice(["constant", "step", "step", "cosine", "exponential", "plateau", "plateau"])
        schedule = {"family": family, "initial_lr": draw.choice([0.05, 0.1]), "epochs": epochs}
        if family in ("step", "exponential", "plateau"):
            schedule |= {"decay_rate": draw.choice([0.1, 0.5])}
        if family == "plateau":
            schedule |= {"patience": draw.randint(0, 2), "threshold": draw.choice([1e-4, 0.05, 0.3])}
        if family == "step":
            schedule |= {"step_size": draw.randint(1, epochs + 1)}
        if draw.random() < 0.3:
            schedule |= {"warmup": 1}
        return schedule

    return [one() for _ in range(draw.randint(1, n_trials))]


def any_families(number, n_trials=12):
    """A random space over some of all the families there are, each with its own default ranges, by trial."""
    draw = random.Random(number)
    families = draw.sample(sorted(FAMILIES), 3)
    space = {"family": families, "initial_lr": [0.05, 0.1], "warmup": [1, 2]}
    fields = {"task": "least-squares", "epochs": draw.randint(4, 9), "space": space, "sampler": "random"}
    spec = resolve(read_spec({**fields, "budget": {"trials": n_trials}}), CATALOG["least-squares"])
    made, suggester = Space(spec, 10), Suggester(spec)
    found = [made.schedule(suggester.suggest(trial, [])) for trial in range(n_trials)]
    return [schedule.model_dump(mode="json", exclude_unset=True) for schedule in found]


def values(points):
    return [(p.epoch, p.update, p.seed, p.lr_first, p.lr_last, p.metrics) for p in points]


def numbered(assign, schedules, task="least-squares", **fields):
    return [assign(task, schedule, trial=number, **fields) for number, schedule in enumerate(schedules)]


@pytest.mark.parametrize("lanes", [1, 5, 64])
@pytest.mark.parametrize(
    "number", [*range(10), *(pytest.param(number, marks=pytest.mark.slow) for number in range(10, 100))]
)
@pytest.mark.parametrize("space", [grid, any_families])
def test_epochs_trained_are_the_distinct_ones(bench, assign, space, number, lanes):
    schedules = space(number)
    told = bench(lanes=lanes).train_all(numbered(assign, schedules))
    assert {result.state for result, _ in told.values()} == {"completed"}
    task = CATALOG["least-squares"]
    updates_per_epoch = updates_per_epoch_of(task.train_examples, task.defaults.batch_size)
    keys, fixed = set(), []
    for schedule, (_, points) in zip(schedules, told.values(), strict=True):
        read = Schedule.model_validate(schedule)
        history = [point.metrics for point in points]
        keys |= set(Plan(read, updates_per_epoch).keys(first_key({}, 0), history=history)[1:])
        fixed += [] if read.METRIC_DRIVEN else [read]
    points = [point for _, points in told.values() for point in points]
    assert len(points) == sum(schedule["epochs"] for schedule in schedules)
    assert sum(not point.shared for point in points) == len(keys)
    if len(fixed) == len(schedules):
        assert count_epochs(fixed, updates_per_epoch) == (len(points), len(keys))


@pytest.mark.parametrize("lanes", [1, 3, 64])
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("task", ["least-squares", "digits-mlp"])
def test_sharing_changes_no_bit(bench, assign, task, number, lanes):
    assignments = numbered(assign, grid(number, 5), task, seeds=(0, 3), train={"batch_size": 500})
    told = bench(lanes=lanes).train_all(assignments)
    for assignment in assignments:
        result, points = bench().train(assignment)
        assert told[assignment.key][0] == result
        assert values(told[assignment.key][1]) == values(points)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_sharing_changes_no_bit_whatever_the_optimizer(bench, assign, name):
    train = {"optimizer": name, "batch_size": 512}
    schedules = [
        {"family": "step", "initial_lr": 0.01, "decay_rate": 0.5, "step_size": size, "epochs": 4}
        for size in (1, 2, 3, 2)
    ]
    assignments = numbered(assign, schedules, "digits-mlp", train=train)
    told = bench().train_all(assignments)
    for assignment in assignments:
        assert values(told[assignment.key][1]) == values(bench().train(assignment)[1])
    assert sum(not p.shared for _, points in told.values() for p in points) == 4 + 3 + 2


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    number=st.integers(0, 10**6), kill_after=st.integers(0, 200), lanes=st.sampled_from([1, 3, 64]), kept=st.booleans()
)
def test_killed_and_resumed_is_uninterrupted(number, kill_after, lanes, kept):
    """Steps of a trainer that is never closed, then another one with its store; what it saved by time may be there."""
    prefixes = PrefixStore()
    assignments = numbered(assigned, grid(number, 8))
    killed, whole = Trainer(BUILT_IN, prefixes, "cpu", lanes=lanes), Trainer(BUILT_IN, PrefixStore(), "cpu")
    for trainer in (killed, whole):
        for assignment in assignments:
            trainer.add(assignment)
    expected = finished(whole)
    reported = {assignment.key: 0 for assignment in assignments}
    for _ in range(kill_after):
        for key, item in killed.step():
            reported[key] = item.epoch if not isinstance(item, Result) else reported[key]
    if kept:
        killed.close()
    resumed = Trainer(BUILT_IN, prefixes, "cpu", lanes=lanes)
    for assignment in assignments:
        resumed.add(assignment.model_copy(update={"reported": reported[assignment.key], "attempt": 2}))
    for key, items in finished(resumed).items():
        before = expected[(*key[:2], 1)]
        assert items[-1] == before[-1]
        again = {point.epoch: point for point in items[:-1]}
        assert set(range(reported[(*key[:2], 1)] + 1, len(before))) <= again.keys()
        for point in before[:-1]:
            if point.epoch in again:
                assert values([again[point.epoch]]) == values([point])


@pytest.mark.parametrize("lanes", [2, 64])
@pytest.mark.parametrize("task", ["least-squares", "digits-cnn"])
def test_who_joins_at_epoch_7_has_the_values_it_has_alone(bench, assign, task, lanes):
    options = {"dropout": 0.5, "batch_norm": True} if task == "digits-cnn" else {}
    early, late, forked = (
        assign(task, schedule, trial=number, options=options, train={"batch_size": 1024})
        for number, schedule in enumerate(
            [
                {"family": "step", "initial_lr": 0.02, "decay_rate": 0.5, "step_size": 8, "epochs": 10},
                {"family": "cosine", "initial_lr": 0.02, "epochs": 8},
                {"family": "step", "initial_lr": 0.02, "decay_rate": 0.5, "step_size": 9, "epochs": 10},
            ]
        )
    )
    trainer = bench(lanes=lanes).trainer
    trainer.add(early)
    told = {early.key: [], late.key: [], forked.key: []}
    while len(told[early.key]) < 7:
        for key, item in trainer.step():
            told[key].append(item)
    trainer.add(late)
    trainer.add(forked)
    while trainer.busy:
        for key, item in trainer.step():
            told[key].append(item)
    for assignment in (early, late, forked):
        result, points = bench().train(assignment)
        assert values(told[assignment.key][:-1]) == values(points)
        assert told[assignment.key][-1] == result
    assert [point.shared for point in told[forked.key][:-1]] == [True] * 8 + [False] * 2


def assigned(task="least-squares", schedule=None, **fields):
    defaults = CATALOG[task].defaults
    spec = TrainSpec.read({"optimizer": defaults.optimizer, "batch_size": defaults.batch_size})
    recipe = {"task": task, "options": {}, **spec.model_dump(mode="json", exclude={"seed", "seeds"})}
    given = {"study": "s", "trial": 0, "attempt": 1, "recipe": recipe, "schedule": schedule}
    return Assignment.model_validate({**given, "until_epoch": schedule["epochs"], **fields})


def finished(trainer):
    """Everything told until nothing is left to do, by key."""
    told = {}
    while trainer.busy:
        for key, item in trainer.step():
            told.setdefault(key, []).append(item)
    return told


SCHEDULES = [*grid(1, 12), *grid(7, 12)]
ALONE = {}


def alone(number, seeds):
    """What a trial tells that has a trainer to itself."""
    if (number, seeds) not in ALONE:
        trainer = Trainer(BUILT_IN, PrefixStore(), "cpu")
        assignment = assigned(schedule=SCHEDULES[number], seeds=seeds)
        trainer.add(assignment)
        ALONE[number, seeds] = finished(trainer)[assignment.key]
    return ALONE[number, seeds]


class AnyOrder(RuleBasedStateMachine):
    """However assignments come, go, stop, go on and are trained between: each tells what it tells alone."""

    def __init__(self):
        super().__init__()
        self.trainer = Trainer(BUILT_IN, PrefixStore(budget_bytes=6_000), "cpu", lanes=3)
        self.told, self.until, self.seeds = {}, {}, {}
        self.attempts = [0] * len(SCHEDULES)

    @rule(
        number=st.integers(0, len(SCHEDULES) - 1),
        seeds=st.sampled_from([(0,), (0, 1)]),
        until=st.integers(1, 10),
        reported=st.booleans(),
    )
    def add(self, number, seeds, until, reported):
        self.attempts[number] += 1
        assignment = assigned(
            schedule=SCHEDULES[number],
            seeds=seeds,
            trial=number,
            attempt=self.attempts[number],
            until_epoch=min(until, SCHEDULES[number]["epochs"]),
        )
        self.trainer.add(assignment)
        self.told[assignment.key] = []
        self.until[assignment.key], self.seeds[assignment.key] = assignment.until_epoch, seeds

    @rule(data=st.data())
    def drop(self, data):
        if self.until:
            key = data.draw(st.sampled_from(sorted(self.until)))
            self.trainer.drop(key)
            del self.until[key]

    @rule(data=st.data(), further=st.integers(0, 5))
    def extend(self, data, further):
        if self.until:
            key = data.draw(st.sampled_from(sorted(self.until)))
            until = min(self.until[key] + further, SCHEDULES[key.trial]["epochs"])
            self.trainer.extend(key, until)
            if not any(isinstance(item, Result) for item in self.told[key]):
                self.until[key] = until

    @rule(n_steps=st.integers(1, 12))
    def step(self, n_steps):
        for _ in range(n_steps):
            for key, item in self.trainer.step():
                assert key in self.until
                self.told[key].append(item)

    @invariant()
    def each_tells_what_it_tells_alone(self):
        for key, items in self.told.items():
            expected = (
                {(p.epoch, p.seed): p for p in alone(key.trial, self.seeds[key])[:-1]} if key in self.seeds else {}
            )
            for item in items:
                if isinstance(item, Result):
                    assert item == alone(key.trial, self.seeds[key])[-1]
                else:
                    assert values([item]) == values([expected[item.epoch, item.seed]])

    def teardown(self):
        while self.trainer.busy:
            self.step(1)
        for key, until in self.until.items():
            n_seeds, epochs = len(self.seeds[key]), SCHEDULES[key.trial]["epochs"]
            points = {(p.epoch, p.seed) for p in self.told[key] if not isinstance(p, Result)}
            assert len(points) == until * n_seeds
            assert any(isinstance(item, Result) for item in self.told[key]) == (until == epochs)


AnyOrder.TestCase.settings = hypothesis.settings(max_examples=60, stateful_step_count=25, deadline=None)
TestAnyOrder = AnyOrder.TestCase
