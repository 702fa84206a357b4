"""A schedule that looks at a metric which its task announces and does not measure: it fails, and nobody with it."""

from __future__ import annotations

import logging

import pytest

from lrsearch.study import Result
from lrsearch.tasks.catalog import BUILT_IN
from lrsearch.training.prefixes import PrefixStore

CONSTANT = {"family": "constant", "initial_lr": 0.05, "epochs": 6}
STEP = {"family": "step", "initial_lr": 0.05, "decay_rate": 0.5, "step_size": 3, "epochs": 6}
BLIND = {"family": "plateau", "initial_lr": 0.05, "decay_rate": 0.5, "patience": 2, "metric": "val_f1", "epochs": 6}


def values(points):
    return [(p.epoch, p.seed, p.lr_first, p.lr_last, p.metrics) for p in points]


@pytest.fixture(autouse=True)
def quiet(caplog):
    with caplog.at_level(logging.CRITICAL):
        yield


@pytest.fixture
def check(bench, assign):
    """``check(told, seeds)``: the blind one failed in words, and the others are what they are alone."""

    def checked(told, seeds=(0,)):
        for key, (result, points) in told.items():
            if key.trial == 9:
                assert result.state == "failed"
                assert "looks at the metric `val_f1`" in result.error
            else:
                alone = assign(schedule=[CONSTANT, STEP][key.trial], trial=key.trial, seeds=seeds)
                expected, expected_points = bench().train(alone)
                assert result == expected
                assert values(points) == values(expected_points)

    return checked


@pytest.fixture
def trials(assign):
    """``trials(**fields)``: two trials and one that looks at what is not measured, whose first epochs are the same."""

    def build(**fields):
        numbered = [(0, CONSTANT), (1, STEP), (9, BLIND)]
        return [assign(schedule=schedule, trial=number, **fields) for number, schedule in numbered]

    return build


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
@pytest.mark.parametrize("lanes", [1, 64])
def test_in_company_from_the_start(bench, trials, check, seeds, lanes):
    check(bench(lanes=lanes).train_all(trials(seeds=seeds)), seeds)


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
@pytest.mark.parametrize("lanes", [1, 64])
@pytest.mark.parametrize("after", [1, 2, 4])
def test_where_it_joins_a_lane_under_way(bench, trials, check, seeds, lanes, after):
    *others, blind = trials(seeds=seeds)
    trainer = bench(lanes=lanes).trainer
    told = {assignment.key: [] for assignment in (*others, blind)}
    for assignment in others:
        trainer.add(assignment)
    n_steps = 0
    while trainer.busy:
        if n_steps == after:
            trainer.add(blind)
        n_steps += 1
        for key, item in trainer.step():
            told[key].append(item)
    assert all(sum(isinstance(item, Result) for item in items) == 1 for items in told.values())
    check({key: (items[-1], items[:-1]) for key, items in told.items()}, seeds)


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
@pytest.mark.parametrize("stored", [1, 2, 6])
def test_where_it_begins_at_a_stored_state(bench, trials, assign, check, seeds, stored):
    prefixes = PrefixStore(None)
    begun = {**CONSTANT, "epochs": stored}
    bench(prefixes).train(assign(schedule=begun, seeds=seeds))
    told = bench(prefixes).train_all(trials(seeds=seeds)[::-1])
    check(told, seeds)


def test_where_it_goes_on_from_a_rung(bench, trials, check):
    """Up to the rung nothing had to be known of what comes then."""
    assignments = trials(until_epoch=1)
    trainer = bench().trainer
    told = {assignment.key: [] for assignment in assignments}
    for assignment in assignments:
        trainer.add(assignment)
    while trainer.busy:
        for key, item in trainer.step():
            told[key].append(item)
    assert [len(items) for items in told.values()] == [1, 1, 1]
    for assignment in assignments:
        trainer.extend(assignment.key, 6)
    while trainer.busy:
        for key, item in trainer.step():
            told[key].append(item)
    check({key: (items[-1], items[:-1]) for key, items in told.items()})


def test_where_it_is_told_to_go_on_while_it_trains(bench, assign, check):
    prefixes, tasks = PrefixStore(None), BUILT_IN
    blind = assign(schedule={**BLIND, "epochs": 6}, trial=9, until_epoch=2)
    trainer = bench(prefixes, tasks).trainer
    trainer.add(blind)
    told = trainer.step()
    trainer.extend(blind.key, 6)
    while trainer.busy:
        told += trainer.step()
    check({blind.key: (told[-1][1], [item for _, item in told[:-1]])})
