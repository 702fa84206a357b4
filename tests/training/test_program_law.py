"""The one law: a trained state is a function of the recipe, the numerics and the controls so far, of nothing else."""

from __future__ import annotations

import random

import numpy as np
import pytest

from lrsearch.study import OPTIMIZERS
from lrsearch.training.fused_program import FusedProgram
from lrsearch.training.in_turn import InTurn

SETTINGS = {
    "sgd": {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    "adam": {"amsgrad": True},
    "adamw": {},
    "rmsprop": {"centered": True, "momentum": 0.9, "eps": 1e-3},
    "adagrad": {"initial_accumulator_value": 0.1},
    "ranger": {"k": 2, "weight_decay": 0.1},
}
REGULAR = {"dropout": 0.5, "batch_norm": True}
CASES = {
    **{
        f"digits-cnn-{name}": ("digits-cnn", REGULAR, {"optimizer": {"name": name, **SETTINGS[name]}})
        for name in OPTIMIZERS
    },
    "digits-cnn-clipped-float64": ("digits-cnn", REGULAR, {"clip_norm": 0.1, "precision": "float64"}),
    "digits-cnn-bfloat16": ("digits-cnn", REGULAR, {"precision": "bfloat16"}),
    "synthetic-mlp": ("synthetic-mlp", None, {}),
    "least-squares": ("least-squares", None, {"batch_size": 2}),
}
RATES = np.array([[3e-3] * 3, [2e-3] * 3, [1e-2, 1e-3, 1e-4]])
"""Three intervals of three updates."""


def quick(case):
    """Without batch norm, which takes 32 rows of every fused program: ``test_fused_program`` has smaller models."""
    task, options, train = case
    return task, options and {**options, "batch_norm": False}, train


PROGRAMS = {
    **{name: (case, None) for name, case in CASES.items()},
    **{f"{name}-fused": (quick(case), FusedProgram) for name, case in CASES.items() if name != "least-squares"},
    **{f"{name}-in-turn": (case, InTurn) for name, case in CASES.items() if name != "least-squares"},
}


@pytest.fixture(params=PROGRAMS.values(), ids=PROGRAMS)
def fresh(request, make_program):
    """``fresh(seed)``: a new program of the case."""
    (task, options, train), kind = request.param

    def build(seed=0):
        return make_program(task, options, seed, kind, **train)

    return build


def alone(program, rates=RATES):
    return [program.run_epoch(epoch, row[None, :, None])[0] for epoch, row in enumerate(rates, start=1)]


def test_alone_or_in_company_it_is_the_same(fresh, same):
    lone, crowd = fresh(), fresh()
    records = alone(lone)
    crowd.fork([0, 0, 0])
    assert crowd.n_lanes == 3
    for epoch, row in enumerate(RATES, start=1):
        together = crowd.run_epoch(epoch, np.stack([row * 3, row, row / 7])[:, :, None])
        assert same(together[1], records[epoch - 1])
    assert same(crowd.save(1), lone.save(0))
    assert not same(crowd.save(0), lone.save(0))


def test_what_was_trained_before_and_between_changes_nothing(fresh, same):
    first, other, again = fresh(), fresh(seed=1), fresh()
    records = alone(first)
    for epoch, row in enumerate(RATES, start=1):
        other.run_epoch(epoch, row[None, :, None])
        np.random.seed(epoch)
        random.seed(epoch)
        assert same(again.run_epoch(epoch, row[None, :, None])[0], records[epoch - 1])
    assert same(again.save(0), first.save(0))


def test_saved_and_loaded_it_goes_on_as_if_uninterrupted(fresh, same):
    whole, begun, resumed = fresh(), fresh(), fresh()
    records = alone(whole)
    begun.run_epoch(1, RATES[0][None, :, None])
    state = begun.save(0)
    begun.run_epoch(2, RATES[0][None, :, None] * 10)
    resumed.load(0, state)
    assert same(resumed.save(0), state)
    for epoch in (2, 3):
        assert same(resumed.run_epoch(epoch, RATES[epoch - 1][None, :, None])[0], records[epoch - 1])
    assert same(resumed.save(0), whole.save(0))


def test_a_fork_is_a_copy_and_lanes_may_change_places(fresh, same):
    program = fresh()
    program.fork([0, 0])
    program.run_epoch(1, np.stack([RATES[0], RATES[0] * 2])[:, :, None])
    one, two = program.save(0), program.save(1)
    assert not same(one, two)
    program.fork([1, 0, 1])
    assert [same(program.save(i), state) for i, state in enumerate((two, one, two))] == [True] * 3
    program.run_epoch(2, np.stack([RATES[1], RATES[1], RATES[1] * 3])[:, :, None])
    assert not same(program.save(0), program.save(2))
    program.fork([1])
    assert program.n_lanes == 1


def test_where_the_intervals_end_changes_nothing(fresh, same):
    by_three, at_once = fresh(), fresh()
    alone(by_three)
    alone(at_once, RATES.reshape(1, 9))
    assert same(by_three.save(0), at_once.save(0))


def test_another_state_is_refused_and_changes_nothing(fresh, same):
    from lrsearch.errors import InvalidInput

    program = fresh()
    alone(program)
    state = program.save(0)
    name = next(iter(state))
    reshaped = {**state, name: state[name].reshape(1, *state[name].shape)}
    for wrong in (reshaped, {**state, "more": state[name]}, {k: v for k, v in state.items() if k != name}, {}):
        with pytest.raises(InvalidInput):
            program.load(0, wrong)
        assert same(program.save(0), state)
