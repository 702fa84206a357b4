"""What a device says when its memory is full, wherever it says so: lanes make room, and no trial is at fault."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from lrsearch.study import TrainSpec
from lrsearch.training import group
from lrsearch.training.calibration import Choice, OutOfMemory
from lrsearch.training.failures import TrainingFailed, user_errors
from lrsearch.training.fused_program import FusedProgram
from lrsearch.training.prefixes import PrefixStore
from lrsearch.training.torch_program import TorchProgram
from lrsearch.training.workload import Workload

from .zoo import FUSABLE

NO_ROOM = "CUDA out of memory. Tried to allocate 2.00 GiB."
TRAIN = {"optimizer": "adam", "batch_size": 512}


def values(points):
    return [(p.epoch, p.update, p.seed, p.lr_first, p.lr_last, p.metrics) for p in points]


def step(rate, epochs=4):
    return {"family": "step", "initial_lr": rate, "decay_rate": 0.5, "step_size": 2, "epochs": epochs}


@pytest.fixture
def trials(assign):
    """``trials(n, epochs)``: assignments of other rates each."""

    def build(n, epochs=4, **fields):
        schedules = [step(rate, epochs) for rate in (0.01, 0.02, 0.03, 0.04, 0.05)[:n]]
        return [assign("digits-mlp", each, trial=trial, train=TRAIN, **fields) for trial, each in enumerate(schedules)]

    return build


@pytest.fixture
def on(monkeypatch):
    """``on(program, lanes)``: recipes are trained by it from now on."""

    def chosen(program, lanes=8):
        monkeypatch.setattr(group, "calibrated", lambda *given: Choice(program, lanes))

    return chosen


class Narrow(TorchProgram):
    """A program on a device whose memory holds few lanes, as it turns out somewhere on the way."""

    holds = 2
    where = ""

    def _run(self, lane, epoch, controls):
        if self.where == "run_epoch" and epoch == 3 and lane in self._lanes[self.holds :]:
            raise torch.OutOfMemoryError(NO_ROOM)  # when others have been trained
        return super()._run(lane, epoch, controls)

    def fork(self, index):
        if self.where == "fork" and len(index) > self.holds:
            raise torch.OutOfMemoryError(NO_ROOM)
        super().fork(index)

    def load(self, lane, state):
        if self.where == "load" and self.n_lanes > self.holds:
            raise torch.OutOfMemoryError(NO_ROOM)
        super().load(lane, state)


@pytest.mark.parametrize(
    "full",
    [
        lambda: torch.empty(2**60),
        lambda: np.empty(2**55),
        lambda: torch.OutOfMemoryError(NO_ROOM),
        MemoryError,
        lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:75] . DefaultCPUAllocator: not enough memory: you tried"),
        lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes"),
    ],
)
def test_every_memory_error_is_nobodys(full):
    with pytest.raises(OutOfMemory, match=r"test_memory_errors\.py, line \d+"), user_errors():
        raise full()


def test_what_only_sounds_like_one_is_the_tasks(caplog):
    with caplog.at_level(logging.CRITICAL), pytest.raises(TrainingFailed), user_errors():
        raise ValueError("not enough memory cells in the model")


@pytest.mark.parametrize("where", ["run_epoch", "fork", "load"])
@pytest.mark.parametrize("holds", [1, 2])
def test_lanes_one_after_the_other_make_room_and_nothing_wrong_is_stored(
    bench, trials, on, monkeypatch, caplog, where, holds
):
    on(Narrow)
    expected = bench().train_all(trials(5))
    prefixes = PrefixStore()
    bench(prefixes).train_all(trials(5, until_epoch=1))
    monkeypatch.setattr(Narrow, "where", where)
    monkeypatch.setattr(Narrow, "holds", holds)
    with caplog.at_level(logging.WARNING):
        told = bench(prefixes).train_all(trials(5))
    assert not caplog.records
    for key, (result, points) in told.items():
        assert result == expected[key][0]
        assert values({point.epoch: point for point in points}.values()) == values(expected[key][1])
    assert [values(points) for _, points in bench(prefixes).train_all(trials(5)).values()] == [
        values(points) for _, points in expected.values()
    ]


@pytest.mark.parametrize("kind", [TorchProgram, FusedProgram])
def test_programs_that_cannot_be_built_beside_others_wait(bench, trials, on, caplog, kind):
    left = []

    class Full(kind):
        def __init__(self, *given):
            if left and not left.pop():
                raise torch.OutOfMemoryError(NO_ROOM)
            super().__init__(*given)

    on(Full, 2)
    expected = bench().train_all(trials(5))
    prefixes = PrefixStore()
    bench(prefixes).train_all(trials(5, until_epoch=1))
    left += [True, False, False, True]  # the last one is asked first
    with caplog.at_level(logging.WARNING):
        told = bench(prefixes).train_all(trials(5))
    assert not caplog.records
    assert not left
    for key, (result, points) in told.items():
        assert (result, values(points)) == (expected[key][0], values(expected[key][1]))


class Untestable(TorchProgram):
    """A program whose tests find no memory so many times."""

    left = 0

    def test(self, lane):
        if self.left:
            type(self).left -= 1
            raise torch.OutOfMemoryError(NO_ROOM)
        return super().test(lane)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("left", [1, 2, 9])
def test_a_test_that_finds_no_memory_waits_until_it_is_alone(bench, trials, on, monkeypatch, stored, left):
    on(Untestable)
    [tested], [_, *others] = trials(1, purpose="test"), trials(3, epochs=8)
    expected = bench().train_all([tested, *others])
    prefixes = PrefixStore()
    if stored:
        bench(prefixes).train_all(trials(1))
    monkeypatch.setattr(Untestable, "left", left)
    trainer = bench(prefixes).trainer
    told = {one.key: [] for one in (tested, *others)}
    for one in (*others, tested):
        trainer.add(one)
        for key, item in trainer.step():
            told[key].append(item)
    while trainer.busy:
        for key, item in trainer.step():
            told[key].append(item)
    if left == 9:
        [result] = told[tested.key]
        assert (result.state, Untestable.left > 0) == ("failed", True)
        assert "memory" in result.error
    for key, (*points, result) in told.items():
        if key != tested.key or left < 9:
            assert (result, values(points)) == (expected[key][0], values(expected[key][1]))
            assert [point.shared or stored for point in points] == [p.shared or stored for p in expected[key][1]]


def test_what_has_failed_meanwhile_begins_no_more(bench, assign, on, caplog):
    """One seed cannot be built, the next finds no memory beside another trial."""

    class Odd(TorchProgram):
        def __init__(self, workload, train, seed, *given):
            if seed in (1, 2):
                raise ZeroDivisionError if seed == 1 else OutOfMemory(NO_ROOM)
            super().__init__(workload, train, seed, *given)

    on(Odd)
    other, odd = (
        assign("digits-mlp", step(0.01), trial=trial, seeds=seeds, train=TRAIN)
        for trial, seeds in enumerate([(0,), (1, 2)])
    )
    trainer = bench().trainer
    trainer.add(other)
    told = trainer.step()
    trainer.add(odd)
    with caplog.at_level(logging.CRITICAL):
        while trainer.busy:
            told += trainer.step()
    states = {key.trial: item.state for key, item in told if hasattr(item, "state")}
    assert states == {0: "completed", 1: "failed"}


@pytest.mark.parametrize("lanes", [3, 5])
def test_a_lone_programs_fork_that_runs_out_changes_no_lane(same, monkeypatch, lanes):
    made = TorchProgram(Workload(FUSABLE["mlp"], {}), TrainSpec.read({**TRAIN, "batch_size": 50}), 0, "cpu")
    made.fork([0, 0])
    made.run_epoch(1, np.array([[[0.01]], [[0.02]]]))
    before = [made.save(lane) for lane in (0, 1)]
    new_lane, left = made._new_lane, [None] * (lanes - 3)

    def narrow():
        if not left:
            raise torch.OutOfMemoryError(NO_ROOM)
        left.pop()
        return new_lane()

    monkeypatch.setattr(made, "_new_lane", narrow)
    with pytest.raises(torch.OutOfMemoryError):
        made.fork([1] * lanes)
    assert made.n_lanes == 2
    assert all(same(made.save(lane), state) for lane, state in enumerate(before))


def test_what_finds_no_memory_to_be_stored_is_trained_all_the_same(bench, trials, on, monkeypatch):
    class Unstored(TorchProgram):
        def save(self, lane):
            if self.n_lanes > 1:
                raise MemoryError
            return super().save(lane)

    on(TorchProgram)
    expected = bench().train_all(trials(3))
    on(Unstored)
    monkeypatch.setattr("lrsearch.training.cohort.SAVE_SECONDS", 0.0)
    trainer = bench().trainer
    told = {}
    for one in trials(3):
        trainer.add(one)
    for _ in range(3):  # of the last epoch a checkpoint is wanted
        for key, item in trainer.step():
            told.setdefault(key, []).append(item)
    for key, points in told.items():
        assert values(points) == values(expected[key][1][:3])
    assert len(told) == 3
    trainer.close()
