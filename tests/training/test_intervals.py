"""Runs of one recipe whose reporting intervals differ: each trains what it trains alone, and shares what it may."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from lrsearch.errors import InvalidInput
from lrsearch.study import TrainSpec
from lrsearch.tasks.catalog import BUILT_IN
from lrsearch.training import group
from lrsearch.training.calibration import Choice
from lrsearch.training.fused_program import FusedProgram
from lrsearch.training.least_squares import LeastSquaresProgram
from lrsearch.training.prefixes import PrefixStore
from lrsearch.training.workload import Workload

RECIPE = {"optimizer": {"name": "adam"}, "batch_size": 512}
BY = {"fused": ("digits-mlp", FusedProgram, RECIPE), "least-squares": ("least-squares", LeastSquaresProgram, {})}


def every(eval_every, updates=12, rate=0.02):
    return {"family": "cosine", "initial_lr": rate, "updates": updates, "eval_every": eval_every}


LENGTHS = {
    "two lengths": (2, [every(3), every(4), every(3, rate=0.01), every(4, rate=0.01)]),
    "epochs and updates": (2, [{"family": "cosine", "initial_lr": 0.02, "epochs": 4}, every(2)]),
    "a shorter last interval": (3, [every(4), every(4, updates=10), every(4, updates=6)]),
}
"""How many programs they take when each is trained once, and the schedules."""


def values(points):
    return [(p.epoch, p.update, p.seed, p.lr_first, p.lr_last, p.metrics) for p in points]


@pytest.fixture
def told_by(bench, monkeypatch):
    """``told_by(program, assignments, prefixes)``: the trainer's result and points of each."""
    made = []

    def told(by, assignments, prefixes=None, **how):
        kind = BY[by][1]

        class Counted(kind):
            def __init__(self, *given):
                super().__init__(*given)
                made.append(self)

        monkeypatch.setattr(group, "calibrated", lambda *given: Choice(Counted, 8))
        return bench(prefixes, BUILT_IN).train_all(assignments, **how)

    told.made = made
    return told


@pytest.fixture
def trials(assign):
    """``trials(by, schedules)``: assignments of one recipe."""

    def build(by, schedules, **fields):
        task, _, train = BY[by]
        return [assign(task, schedule, trial=n, train=train, **fields) for n, schedule in enumerate(schedules)]

    return build


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_runs_of_other_intervals_keep_company_with_their_own_kind(told_by, trials, caplog, by, lengths):
    n_programs, schedules = LENGTHS[lengths]
    assignments = trials(by, schedules)
    alone = {one.key: told_by(by, [one])[one.key] for one in assignments}
    told_by.made.clear()
    with caplog.at_level(logging.WARNING):
        together = told_by(by, assignments)
    assert not caplog.records
    for key, (result, points) in together.items():
        assert result == alone[key][0]
        assert values(points) == values(alone[key][1])
    assert len(told_by.made) == n_programs


@pytest.mark.parametrize("by", BY)
def test_what_is_restored_at_one_epoch_and_two_updates_stays_apart(told_by, trials, by):
    """Both stand at epoch 2 when they go on, one after 4 updates and one after 8; both then train 2 updates."""
    schedules = [every(2, 6), every(4, 10)]
    until = [{"until_epoch": 2}, {"until_epoch": 2}]
    alone = [told_by(by, [one])[one.key][1] for one in trials(by, schedules)]
    prefixes = PrefixStore()
    for one, stop in zip(trials(by, schedules), until, strict=True):
        told_by(by, [one.model_copy(update=stop)], prefixes)
    told = told_by(by, trials(by, schedules, attempt=2), prefixes)
    for (_, points), expected in zip(told.values(), alone, strict=True):
        assert [point.shared for point in points] == [True] * 2 + [False] * (len(points) - 2)
        assert values(points) == values(expected)


@pytest.mark.parametrize("kind", ["fused", "least-squares"])
def test_lanes_of_one_program_stand_at_one_update(same, kind):
    task, program, recipe = BY[kind]
    spec = TrainSpec.read({"optimizer": "sgd", "batch_size": 512, **recipe})
    workload = Workload(BUILT_IN[task], {})
    states = []
    for n_updates in (2, 3):
        lone = program(workload, spec, 0, "cpu")
        lone.run_epoch(1, np.full((1, n_updates, 1), 0.01))
        states.append(lone.save(0))
    made = program(workload, spec, 0, "cpu")
    made.fork([0, 0])
    made.load(0, states[0])
    with pytest.raises(InvalidInput, match=r"update 2 .*got 3"):
        made.load(1, states[1])
    assert same(made.save(0), states[0])
    made.load(1, states[0])
    made.fork([1])
    made.load(0, states[1])
    assert same(made.save(0), states[1])
