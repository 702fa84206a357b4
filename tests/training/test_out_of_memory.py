"""Memory that runs out, wherever it does: no lane is changed by it, no run lost, and nothing wrong stored."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from lrsearch.study import Result, TrainSpec
from lrsearch.training import group
from lrsearch.training.calibration import Choice, OutOfMemory
from lrsearch.training.fused_program import FusedProgram
from lrsearch.training.least_squares import LeastSquaresProgram
from lrsearch.training.prefixes import PrefixStore
from lrsearch.training.stacked import StackedOptimizer
from lrsearch.training.torch_program import TorchProgram
from lrsearch.training.workload import Workload

from .zoo import FUSABLE

RATES = np.array([0.02, 0.01, 0.005, 0.01])
MANY = [2, 1, 0, 0] * 10
"""A fork to more lanes than there are rows."""


def values(points):
    return [(p.epoch, p.update, p.seed, p.lr_first, p.lr_last, p.metrics) for p in points]


def n_trained(told):
    return sum(not point.shared for _, points in told.values() for point in points)


def step(rate, epochs=6):
    return {"family": "step", "initial_lr": rate, "decay_rate": 0.5, "step_size": 2, "epochs": epochs}


@pytest.fixture
def on(monkeypatch):
    """``on(program, lanes)``: recipes are trained by it from now on."""

    def chosen(program, lanes=8):
        monkeypatch.setattr(group, "calibrated", lambda *given: Choice(program, lanes))

    return chosen


def switching(assign):
    """Trials of which the first one's lanes change their optimiser, and others stay or change it for another one."""
    switch = {"switch_to": "sgd", "switch_at": 2, "switch_factor": 3}
    extras = (switch, {}, switch, {**switch, "switch_to": "adamw"}, {**switch, "switch_at": 3})
    train = {"optimizer": "adam", "batch_size": 512}
    return [
        assign("digits-mlp", step(rate, 4) | extra, trial=trial, train=train)
        for trial, (rate, extra) in enumerate(zip((0.01, 0.01, 0.02, 0.02, 0.01), extras, strict=True))
    ]


def runs_out_once(monkeypatch, owner, name):
    """The next call of a method finds no memory; all later ones do."""
    method, left = getattr(owner, name), [torch.OutOfMemoryError("no room")]

    def called(*given, **named):
        if left:
            raise left.pop()
        return method(*given, **named)

    monkeypatch.setattr(owner, name, called)


@pytest.mark.parametrize("name", ["mlp", "resnet"])
@pytest.mark.parametrize(
    ("owner", "method", "index"),
    [
        (FusedProgram, "_new_optimizer", MANY),
        *((StackedOptimizer, "load", index) for index in ([0, 2], [2, 1, 0], MANY)),
    ],
)
def test_a_fork_that_runs_out_changes_no_lane(same, monkeypatch, name, owner, method, index):
    train = TrainSpec.read({"optimizer": "adam", "batch_size": 50})
    made, reference = (FusedProgram(Workload(FUSABLE[name], {}), train, 0, "cpu") for _ in range(2))
    rates = (RATES * np.array([1, 2, 3])[:, None])[:, :, None]
    for program in (made, reference):
        program.fork([0, 0, 0])
        program.run_epoch(1, rates)
    before = [made.save(lane) for lane in range(3)]
    with monkeypatch.context() as patched:
        runs_out_once(patched, owner, method)
        with pytest.raises(OutOfMemory):
            made.fork(index)
    assert made.n_lanes == 3
    assert all(same(made.save(lane), state) for lane, state in enumerate(before))
    assert all(map(same, made.run_epoch(2, rates), reference.run_epoch(2, rates)))
    for program in (made, reference):
        program.fork(index)
    rates = rates[index] / 2
    assert all(map(same, made.run_epoch(3, rates), reference.run_epoch(3, rates)))
    assert all(same(made.save(lane), reference.save(lane)) for lane in range(len(index)))


def test_lanes_that_cannot_be_taken_over_leave_all_states_in_their_places(bench, assign, on, monkeypatch):
    """One lane has left, so the others move up when the program makes room for those that come."""
    assignments = [assign(schedule=step(rate), trial=trial) for trial, rate in enumerate((0.05, 0.1, 0.2, 0.3))]
    expected = {one.key: bench().train(one) for one in assignments}

    class Full(LeastSquaresProgram):
        full = False

        def load(self, lane, state):
            if self.full and self.n_lanes > 2:
                raise OutOfMemory("two lanes fit")
            super().load(lane, state)

    on(Full)
    prefixes = PrefixStore()
    [*early, late] = assignments
    bench(prefixes).train(late.model_copy(update={"until_epoch": 3}))
    trainer = bench(prefixes).trainer
    for one in early:
        trainer.add(one)
    told = {one.key: [] for one in assignments}
    while len(told[early[-1].key]) < 3:
        for key, item in trainer.step():
            told[key].append(item)
    monkeypatch.setattr(Full, "full", True)
    trainer.drop(early[0].key)
    trainer.add(late)
    while trainer.busy:
        for key, item in trainer.step():
            told[key].append(item)
    for one in (*early[1:], late):
        assert values(told[one.key][:-1]) == values(expected[one.key][1])
        assert told[one.key][-1] == expected[one.key][0]
        assert isinstance(told[one.key][-1], Result)


@pytest.mark.parametrize("kind", [TorchProgram, FusedProgram])
@pytest.mark.parametrize("error", [OutOfMemory, ZeroDivisionError])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_switch_of_optimiser_that_fails_loses_no_run(bench, assign, on, caplog, kind, error, optimizer):
    left = []

    class Failing(kind):
        def __init__(self, workload, train, *given):
            if train.optimizer.name == optimizer and left:
                raise left.pop()
            super().__init__(workload, train, *given)

    on(Failing)
    expected = bench().train_all(switching(assign))
    left.append(error("no room"))
    with caplog.at_level(logging.CRITICAL):
        told = bench().train_all(switching(assign))
    assert not left
    for key, (result, points) in told.items():
        assert result == expected[key][0]
        last = {point.epoch: point for point in points}
        assert values(last.values()) == values(expected[key][1])
    if error is OutOfMemory:
        assert n_trained(told) == n_trained(expected)


def test_what_a_new_optimiser_finds_no_memory_for_is_stored(bench, assign, on):
    """Its own first state is another one than the key so far stands for."""
    left = []

    class Failing(TorchProgram):
        def run_epoch(self, epoch, controls):
            if self._train.optimizer.name == "sgd" and left:
                raise left.pop()
            return super().run_epoch(epoch, controls)

    on(Failing)
    expected = bench().train_all(switching(assign))
    left.append(OutOfMemory("no room"))
    told = bench().train_all(switching(assign))
    assert not left
    for key, (result, points) in told.items():
        assert (result, values(points)) == (expected[key][0], values(expected[key][1]))
    assert n_trained(told) == n_trained(expected)
