"""Cohorts whose runs change their optimiser while others stay."""

from __future__ import annotations

import logging

import pytest

from lrsearch.training import group
from lrsearch.training.calibration import Choice
from lrsearch.training.fused_program import FusedProgram
from lrsearch.training.torch_program import TorchProgram

STEP = {"family": "step", "initial_lr": 0.02, "decay_rate": 0.5, "epochs": 6}
TO_SGD = {"switch_to": "sgd", "switch_at": 2}


def values(points):
    return [(p.epoch, p.seed, p.lr_first, p.lr_last, p.metrics) for p in points]


@pytest.mark.parametrize("kind", [TorchProgram, FusedProgram])
@pytest.mark.parametrize("late", [{"step_size": 5}, {"step_size": 5, **TO_SGD}, {"step_size": 5, "epochs": 2}])
def test_who_comes_while_others_switch_keeps_its_optimiser(bench, assign, monkeypatch, kind, late):
    """The second waits at epoch 2 with its new optimiser when the third comes, which has come the same way."""
    monkeypatch.setattr(group, "calibrated", lambda *given: Choice(kind, 8))
    train = {"optimizer": "adam", "batch_size": 512}
    first, second, third = (
        assign("digits-mlp", {**STEP, **extra}, trial=number, train=train)
        for number, extra in enumerate(({"step_size": 2}, {"step_size": 2, **TO_SGD}, late))
    )
    alone = {one.key: bench().train(one) for one in (first, second, third)}
    trainer = bench().trainer
    trainer.add(first)
    trainer.add(second)
    told = {key: [] for key in alone}
    while len(told[first.key]) < 3:
        for key, item in trainer.step():
            told[key].append(item)
    assert len(told[second.key]) == 2
    trainer.add(third)
    while trainer.busy:
        for key, item in trainer.step():
            told[key].append(item)
    for key, (*points, result) in told.items():
        assert (result, values(points)) == (alone[key][0], values(alone[key][1]))
    assert [point.shared for point in told[third.key][:2]] == [True, True]


def test_only_who_switches_to_what_fails_is_at_fault(bench, assign, monkeypatch, caplog):
    """Until then both are one lane."""

    class Fragile(TorchProgram):
        def __init__(self, workload, train, *given):
            if train.optimizer.name == "sgd":
                raise ZeroDivisionError("no such optimiser")
            super().__init__(workload, train, *given)

    monkeypatch.setattr(group, "calibrated", lambda *given: Choice(Fragile, 8))
    train = {"optimizer": "adam", "batch_size": 512}
    sound, guilty = (
        assign("digits-mlp", {**STEP, "step_size": 6, **extra}, trial=number, train=train)
        for number, extra in enumerate(({}, TO_SGD))
    )
    alone = bench().train(sound)
    with caplog.at_level(logging.CRITICAL):
        told = bench().train_all([sound, guilty])
    result, points = told[sound.key]
    assert result == alone[0]
    assert values({point.epoch: point for point in points}.values()) == values(alone[1])
    assert "ZeroDivisionError" in told[guilty.key][0].error
