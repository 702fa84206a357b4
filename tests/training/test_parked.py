"""Parked assignments: they keep next to nothing, and go on as if they had never waited."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

from lrsearch.ledger import Ledger
from lrsearch.study import Assignment, Result
from lrsearch.tasks.catalog import BUILT_IN
from lrsearch.training.prefixes import Prefix, PrefixStore
from lrsearch.training.trainer import Trainer

STEP = {"family": "step", "initial_lr": 0.05, "decay_rate": 0.5, "step_size": 2, "warmup": 1, "epochs": 6}
PLATEAU = {"family": "plateau", "initial_lr": 0.05, "decay_rate": 0.5, "patience": 1, "threshold": 0.3, "epochs": 6}
BUDGET = 4 * 2**20
RUNGS = (1, 2, 4, 6)


def told_by(trainer, key):
    """What a trainer tells of an assignment until it has nothing to do."""
    told = []
    while trainer.busy:
        told += [item for its, item in trainer.step() if its == key]
    return told


def at_rungs(prefixes, assignment, rungs, between=lambda: None):
    """What is told of an assignment up to each rung; ``between`` happens while it is parked."""
    trainer = Trainer(BUILT_IN, prefixes, "cpu")
    trainer.add(assignment.model_copy(update={"until_epoch": rungs[0]}))
    told = [told_by(trainer, assignment.key)]
    for until in rungs[1:]:
        between()
        trainer.extend(assignment.key, until)
        told.append(told_by(trainer, assignment.key))
    return told


def end_of(prefixes, told):
    """The states at the end of a trial, a seed each."""
    assert isinstance(told[-1], Result)
    assert told[-1].checkpoint is not None
    return [prefixes.load(key).state for key in told[-1].checkpoint.keys]


def numbers(told):
    return [(p.epoch, p.seed, p.lr_first, p.lr_last, p.metrics) for p in told if not isinstance(p, Result)]


def evict(prefixes):
    """Something large takes the place of everything that is stored."""
    prefixes.save("0" * 32, Prefix((), {"large": np.zeros(BUDGET - 1000, dtype=np.uint8)}))


@pytest.mark.parametrize("evicted", [False, True])
@pytest.mark.parametrize("schedule", [STEP, PLATEAU], ids=lambda schedule: schedule["family"])
@pytest.mark.parametrize("task", ["digits-mlp", "least-squares"])
def test_parked_and_extended_is_never_parked(assign, same, task, schedule, evicted):
    seeds = (0, 1)
    assignment = assign(task, schedule, seeds=seeds, train={"optimizer": "sgd"})
    [whole] = at_rungs(PrefixStore(None), assignment, RUNGS[-1:])

    prefixes = PrefixStore(None, BUDGET)
    told = at_rungs(prefixes, assignment, RUNGS, lambda: evict(prefixes) if evicted else None)
    for before, until, its in zip((0, *RUNGS), RUNGS, told, strict=False):
        first = 0 if evicted else before
        assert numbers(its) == [number for number in numbers(whole) if first < number[0] <= until]
        assert not any(point.shared for point in its if not isinstance(point, Result))
    assert told[-1][-1] == whole[-1]


@pytest.mark.parametrize("schedule", [STEP, PLATEAU], ids=lambda schedule: schedule["family"])
def test_its_weights_are_the_same_to_the_bit(assign, same, schedule):
    assignment = assign("digits-mlp", schedule)
    once, often = PrefixStore(None), PrefixStore(None)
    [whole] = at_rungs(once, assignment, RUNGS[-1:])
    told = at_rungs(often, assignment, RUNGS)
    assert all(map(same, end_of(once, whole), end_of(often, told[-1])))


def test_early_stopping_remembers_what_was_before(assign):
    assignment = assign(schedule={**STEP, "epochs": 9}, stop={"metric": "val_loss", "patience": 3, "min_delta": 1e9})
    [whole] = at_rungs(PrefixStore(None), assignment, [9])
    assert len(whole) == 5, "four epochs, of which three brought nothing, and the result"
    told = at_rungs(PrefixStore(None), assignment, [2, 3, 9])
    assert [len(its) for its in told] == [2, 1, 2]
    assert numbers([item for its in told for item in its]) == numbers(whole)


def test_who_has_nothing_further_to_go_stays(assign):
    trainer = Trainer(BUILT_IN, PrefixStore(None, 1), "cpu")
    assignment = assign(until_epoch=2)
    trainer.add(assignment)
    told_by(trainer, assignment.key)
    trainer.extend(assignment.key, 2)
    trainer.add(assignment)
    assert not trainer.busy


def test_a_parked_one_is_dropped(assign):
    trainer = Trainer(BUILT_IN, PrefixStore(None), "cpu")
    assignment = assign(until_epoch=2)
    trainer.add(assignment)
    told_by(trainer, assignment.key)
    trainer.drop(assignment.key)
    trainer.extend(assignment.key, 4)
    assert not trainer.busy


def test_a_state_is_kept_for_who_waits_while_its_lane_goes_on(assign):
    trainer = Trainer(BUILT_IN, PrefixStore(None), "cpu")
    waits, goes_on = assign(until_epoch=2), assign(schedule={**assign().schedule.model_dump(), "decay_rate": 0.1})
    goes_on = goes_on.model_copy(update={"trial": 1})
    trainer.add(waits)
    trainer.add(goes_on)
    assert len(told_by(trainer, waits.key)) == 2
    trainer.extend(waits.key, 4)
    assert [(p.epoch, p.shared) for p in told_by(trainer, waits.key)[:-1]] == [(3, False), (4, False)]


def test_a_metric_driven_one_needs_only_its_state(assign):
    """Its keys follow from what it has measured, which lies there too."""
    prefixes = PrefixStore(None, BUDGET)
    trainer, assignment = Trainer(BUILT_IN, prefixes, "cpu"), assign(schedule=PLATEAU, until_epoch=4)
    trainer.add(assignment)
    told_by(trainer, assignment.key)
    [key] = trainer._parked[assignment.key].keys
    state = prefixes.load(key)
    evict(prefixes)
    assert prefixes.load(key) is None
    prefixes.save(key, state)
    trainer.extend(assignment.key, 6)
    assert [point.epoch for point in told_by(trainer, assignment.key)[:-1]] == [5, 6]


def test_thousands_of_them_are_a_small_matter(assign):
    """What a parked trial takes of a worker's memory, the prefix store apart, whatever it has trained."""
    ledger, trainer = Ledger(), Trainer(BUILT_IN, PrefixStore(None, 1), "cpu")
    schedule = {"family": "cosine", "initial_lr": 0.1, "updates": 2000, "eval_every": 200}
    text = assign(schedule=schedule, params={"initial_lr": 0.1}, until_epoch=2).model_dump(mode="json")

    def park(numbers):
        for number in numbers:
            its = {"trial": number, "schedule": {**schedule, "initial_lr": 0.1 + number / 1e6}}
            ledger.accept([Assignment.model_validate({**text, **its})])
        for order in ledger.orders():
            order(trainer)
        while trainer.busy:
            ledger.add(trainer.step())
        while batch := ledger.batch():
            ledger.strike_out(batch)
        for number in numbers:
            ledger.park("s", number)
        assert ledger.n_active == 0
        gc.collect()  # what waits for the collector is no memory of theirs

    park(range(20))
    tracemalloc.start()
    try:
        park(range(20, 120))
        small = tracemalloc.get_traced_memory()[0]
        park(range(120, 320))
        large = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert (large - small) / 200 < 1500
