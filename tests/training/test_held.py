"""An assignment under way: what its runs tell as one, whatever befalls one of them."""

from __future__ import annotations

import pytest

from lrsearch.study import Result
from lrsearch.tasks.catalog import BUILT_IN
from lrsearch.training.group import Groups
from lrsearch.training.held import Held
from lrsearch.training.program import EpochRecord

LOSSES = (5.0, 4.0, 4.5, 3.0, 3.5, 3.2, 2.9, 3.0, 3.1, 3.2, 1.0, 0.5)
"""With a patience of 3 a training stops after the tenth."""


@pytest.fixture
def held(assign):
    """``held(**fields)``: an assignment of twelve epochs that stops early."""

    def build(**fields):
        schedule = {"family": "constant", "initial_lr": 0.1, "epochs": len(LOSSES)}
        assignment = assign(schedule=schedule, stop={"patience": 3, "metric": "val_loss"}, **fields)
        return Held(assignment, Groups(BUILT_IN, "cpu", None).of(assignment))

    return build


def train(held, epochs, runs=None):
    """Train these epochs, as far as the result; that, and in which epoch it is told."""
    for epoch in epochs:
        for run in held.runs if runs is None else runs:
            metrics = {"val_loss": LOSSES[epoch - 1]}
            run.add(EpochRecord(epoch, 0.1, 0.1, 0.01, metrics), shared=False)
        if results := [item for item in held.news() if isinstance(item, Result)]:
            return epoch, results[0].state
    return None


@pytest.mark.parametrize("again", range(1, 10))
def test_early_stopping_judges_no_epoch_twice_where_a_run_begins_again(held, again):
    """Its state was not stored, so it is trained and told again from the start."""
    assert train(held(), range(1, 13)) == (10, "completed")
    one = held()
    assert train(one, range(1, again + 1)) is None
    one.runs[0].take_up([])
    assert train(one, range(1, 13)) == (10, "completed")


@pytest.mark.parametrize("number", [0, 1])
def test_one_of_several_seeds_may_begin_again(held, number):
    one = held(seeds=(0, 1))
    assert train(one, range(1, 6)) is None
    run = one.runs[number]
    run.take_up([])
    assert train(one, range(1, 6), [run]) is None
    assert train(one, range(6, 13)) == (10, "completed")


def test_what_was_not_told_when_a_run_begins_again_is_told_in_its_turn(held):
    """A seed that is ahead of the others has news that wait; it trains those epochs again."""
    one = held(seeds=(0, 1))
    assert train(one, range(1, 6)) is None
    ahead = one.runs[1]
    assert train(one, [6], [ahead]) is None
    ahead.take_up([])
    assert train(one, [1, 2], [ahead]) is None
    assert train(one, [6], one.runs[:1]) is None
    assert train(one, range(3, 7), [ahead]) is None
    assert train(one, range(7, 13)) == (10, "completed")


def test_what_was_not_told_is_told_though_another_lane_trains_it_now(held):
    one = held(seeds=(0, 1))
    assert train(one, range(1, 6)) is None
    ahead = one.runs[1]
    assert train(one, [6, 7], [ahead]) is None
    ahead.take_up(ahead.records[:5])
    for epoch in (6, 7):
        ahead.add(EpochRecord(epoch, 0.1, 0.1, 0.01, {"val_loss": LOSSES[epoch - 1]}), shared=True)
    assert [told.record.epoch for told in ahead.untold] == [6, 7]
    assert train(one, [6, 7], one.runs[:1]) is None
    assert train(one, range(8, 13)) == (10, "completed")
