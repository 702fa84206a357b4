"""Neighbours change nothing: neither one whose code fails, nor so many that memory does not hold them."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lrsearch.study import TrainSpec
from lrsearch.training import group
from lrsearch.training.calibration import Choice, OutOfMemory
from lrsearch.training.least_squares import LeastSquaresProgram

GRID = [
    {"family": "step", "initial_lr": rate, "decay_rate": factor, "step_size": size, "epochs": 6}
    for rate in (0.05, 0.1)
    for factor in (0.1, 0.5)
    for size in (2, 4, 6)
]


class Small(LeastSquaresProgram):
    """A program on a device whose memory holds three lanes."""

    holds = 3
    when = "run_epoch"

    def run_epoch(self, epoch, controls):
        if len(controls) > self.holds and self.when == "run_epoch":
            raise OutOfMemory("three lanes fit")
        return super().run_epoch(epoch, controls)

    def fork(self, index):
        if len(index) > self.holds and self.when == "fork":
            raise OutOfMemory("three lanes fit")
        super().fork(index)


class Fragile(LeastSquaresProgram):
    """A program whose user's code breaks at one rate, whoever is trained beside it."""

    def run_epoch(self, epoch, controls):
        if epoch == 3 and controls.max() > 0.09:
            raise ZeroDivisionError("too fast")
        return super().run_epoch(epoch, controls)


def values(points):
    return [(p.epoch, p.update, p.seed, p.lr_first, p.lr_last, p.metrics) for p in points]


@pytest.fixture
def on(monkeypatch):
    """``on(program, lanes)``: recipes are trained by it from now on."""

    def chosen(program, lanes=8):
        monkeypatch.setattr(group, "calibrated", lambda *given: Choice(program, lanes))

    return chosen


@pytest.mark.parametrize("when", ["run_epoch", "fork"])
@pytest.mark.parametrize("holds", [1, 3])
def test_out_of_memory_halves_the_lanes_and_loses_nothing(bench, assign, on, monkeypatch, when, holds):
    assignments = [assign(schedule=schedule, trial=number) for number, schedule in enumerate(GRID)]
    expected = {assignment.key: bench().train(assignment) for assignment in assignments}
    asked = bench().train_all(assignments)
    on(Small)
    monkeypatch.setattr(Small, "when", when)
    monkeypatch.setattr(Small, "holds", holds)
    told = bench().train_all(assignments)
    for key, (result, points) in told.items():
        assert result == expected[key][0]
        assert values(points) == values(expected[key][1])
    assert n_trained(told) == n_trained(asked)


def test_what_does_not_fit_alone_fails(bench, assign, on, monkeypatch):
    on(Small)
    monkeypatch.setattr(Small, "holds", 0)
    told = bench().train_all([assign(schedule=schedule, trial=number) for number, schedule in enumerate(GRID)])
    assert {(result.state, "memory" in result.error) for result, _ in told.values()} == {("failed", True)}


def test_only_the_one_at_fault_fails(bench, assign, on, caplog):
    assignments = [assign(schedule=schedule, trial=number) for number, schedule in enumerate(GRID)]
    expected = {assignment.key: bench().train(assignment) for assignment in assignments}
    on(Fragile)
    with caplog.at_level(logging.CRITICAL):
        told = bench().train_all(assignments)
    for assignment, schedule in zip(assignments, GRID, strict=True):
        result, points = told[assignment.key]
        if schedule["initial_lr"] == 0.1 and schedule["step_size"] > 2:
            assert "ZeroDivisionError" in result.error
        else:
            assert result == expected[assignment.key][0]
            last = {point.epoch: point for point in points}
            assert values(last.values()) == values(expected[assignment.key][1])


def n_trained(told):
    return sum(not point.shared for _, points in told.values() for point in points)


def test_two_threads_of_one_process_do_not_draw_each_others_numbers(same):
    """Generators and torch's settings are the process's: weights and dropout masks are drawn in turn."""
    pytest.importorskip("torch")
    from lrsearch.training.fused_program import FusedProgram
    from lrsearch.training.workload import Workload

    from .zoo import FUSABLE

    workload, train = Workload(FUSABLE["transformer"], {}), TrainSpec.read({"optimizer": "adam", "batch_size": 50})
    rates = np.full((2, 4, 1), 0.01)

    def trained(seed):
        states = []
        for _ in range(4):
            made = FusedProgram(workload, train, seed, "cpu")
            made.fork([0, 0])
            made.run_epoch(1, rates)
            states.append(made.save(0))
        return states

    alone = [trained(seed)[0] for seed in range(3)]
    with ThreadPoolExecutor(3) as threads:
        for first, states in zip(alone, threads.map(trained, range(3)), strict=True):
            assert all(same(first, state) for state in states)
