"""Whatever people write in a task keeps the one law, or is told in words why it cannot."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from lrsearch import Data
from lrsearch.errors import InvalidInput
from lrsearch.study import TrainSpec
from lrsearch.training import calibration
from lrsearch.training.calibration import calibrated
from lrsearch.training.failures import TrainingFailed, user_errors
from lrsearch.training.fused_program import FusedProgram
from lrsearch.training.tape import Taped, taped
from lrsearch.training.torch_program import TorchProgram
from lrsearch.training.workload import Workload

from . import zoo
from .odd import ALONE, LAWFUL, UNREPEATABLE, WRONG, of

RATES = np.array([0.02, 0.01, 0.005, 0.01, 0.02, 0.03])
SPEC = TrainSpec.read({"optimizer": {"name": "adam", "weight_decay": 0.01}, "batch_size": 50})


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder of what is remembered, and a process that knows nothing yet."""
    monkeypatch.setenv("LRSEARCH_CALIBRATION", str(tmp_path))
    monkeypatch.setattr(calibration, "_known", {})


@pytest.mark.parametrize("kind", [TorchProgram, FusedProgram])
@pytest.mark.parametrize("name", LAWFUL)
def test_neither_company_nor_an_interruption_shows(same, name, kind):
    workload = Workload(LAWFUL[name], {})
    lone, crowd, begun, resumed = (kind(workload, SPEC, 0, "cpu") for _ in range(4))
    crowd.fork([0] * 5)
    factors = np.array([3, 0.5, 1, 2, 0.1])[:, None]
    for epoch in (1, 2, 3):
        record = lone.run_epoch(epoch, RATES[None, :, None])[0]
        assert same(crowd.run_epoch(epoch, (RATES * factors)[:, :, None])[2], record)
        if epoch == 1:
            begun.run_epoch(epoch, RATES[None, :, None])
            resumed.load(0, begun.save(0))
        else:
            assert same(resumed.run_epoch(epoch, RATES[None, :, None])[0], record)
    assert same(crowd.save(2), lone.save(0))
    assert same(resumed.save(0), lone.save(0))


class Counting(zoo.Frozen):
    """Counts its calls, those in evaluation, too."""

    name = "counting"
    has_test = True

    def data(self):
        drawn = super().data()
        return Data(train=drawn.train, val=drawn.val, test=drawn.val)


@pytest.mark.parametrize("kind", [TorchProgram, FusedProgram])
def test_a_test_changes_neither_its_lane_nor_another(same, kind):
    made = kind(Workload(Counting, {}), SPEC, 0, "cpu")
    made.fork([0, 0])
    made.run_epoch(1, np.stack([RATES, RATES / 2])[:, :, None])
    before = [made.save(lane) for lane in (0, 1)]
    measured = made.test(1)
    assert all(same(made.save(lane), state) for lane, state in enumerate(before))
    assert made.test(1) == measured


@pytest.mark.parametrize("name", LAWFUL)
def test_ten_updates_in_float64_are_those_of_the_lone_program(name):
    workload = Workload(LAWFUL[name], {})
    spec = TrainSpec.read({"optimizer": {"name": "adam", "eps": 1e-3}, "batch_size": 15, "precision": "float64"})
    lone, fused = (kind(workload, spec, 0, "cpu") for kind in (TorchProgram, FusedProgram))
    fused.fork([0, 0])
    rates = np.linspace(0.02, 0.001, 10)
    lone.train_only(rates[None])
    fused.train_only(np.stack([rates * 2, rates]))
    ours, theirs = fused.save(1), lone.save(0)
    for key in theirs:
        if key.startswith("model."):
            assert np.abs(ours[key] - theirs[key]).max(initial=0) <= 1e-10, key


@pytest.mark.parametrize("name", ALONE)
def test_what_trains_lane_by_lane_says_why(name):
    task, says = ALONE[name]
    choice = calibrated(Workload(task, {}), SPEC, 0, "cpu")
    assert choice.program is TorchProgram
    assert re.search(says, choice.note)


@pytest.mark.parametrize("name", UNREPEATABLE)
def test_what_cannot_be_trained_again_is_refused(name):
    task, says = UNREPEATABLE[name]
    with pytest.raises(TrainingFailed, match=says), user_errors():
        calibrated(Workload(task, {}), SPEC, 0, "cpu")


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told(name):
    task, says = WRONG[name]
    with pytest.raises(TrainingFailed, match=says), user_errors():
        calibrated(Workload(task, {}), SPEC, 0, "cpu")


@pytest.mark.parametrize("kind", [TorchProgram, FusedProgram])
@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_no_measure_takes_the_place_of_what_training_measures(name, kind):
    """A silent winner would be worse: a study might search by a number that is not the one it is called."""
    made = of(measure=lambda self, outputs, targets: {name: torch.zeros(len(targets))})("named")
    program = kind(Workload(made, {}), SPEC, 0, "cpu")
    with pytest.raises(InvalidInput, match=rf"must not return `{name}`.*another name"):
        program.run_epoch(1, RATES[None, :, None])


def test_an_unused_weight_is_left_alone_where_nothing_decays():
    task, _ = ALONE["unused"]
    assert (
        calibrated(Workload(task, {}), TrainSpec.read({"optimizer": "adam", "batch_size": 50}), 0, "cpu").note is None
    )


@pytest.mark.parametrize("name", ["labels-of-tokens", "tokens-by-class"])
def test_several_labels_an_example_are_measured_by_their_share(name):
    made = TorchProgram(Workload(LAWFUL[name], {}), SPEC, 0, "cpu")
    assert 0 < made.run_epoch(1, RATES[None, :, None])[0].metrics["val_accuracy"] <= 1


@pytest.mark.parametrize("name", ["python-draws", "numpy-draws", "sees-list", "sees-numpy", "sees-array"])
def test_what_lets_python_see_or_draw_numbers_is_no_tape(name, monkeypatch):
    monkeypatch.setattr(taped, "LONGEST_SECONDS", np.inf)
    made = FusedProgram(Workload(LAWFUL[name], {}), SPEC, 0, "cpu")
    kinds = []
    monkeypatch.setattr(Taped, "_compared", lambda self: kinds.append("compared"))
    made.train_only(np.full((1, 6), 0.01))
    assert not kinds


def test_the_callers_generators_are_as_before():
    import random

    for kind in (TorchProgram, FusedProgram):
        made = kind(Workload(LAWFUL["python-draws"], {}), SPEC, 0, "cpu")
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
        made.run_epoch(1, RATES[None, :, None])
        after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
        assert before[:2] == after[:2]
        assert torch.equal(before[2], after[2])


def test_what_a_seed_drew_is_on_no_other_seeds_tape(same, monkeypatch):
    """A constant that few examples meet: one call beside the other would not show it."""
    monkeypatch.setattr(taped, "LONGEST_SECONDS", np.inf)
    spec = TrainSpec.read({"optimizer": "adam", "batch_size": 15})
    rates = np.full((1, 10, 1), 0.01)

    def trained(workload, seed):
        made = FusedProgram(workload, spec, seed, "cpu")
        records = [made.run_epoch(epoch, rates)[0] for epoch in (1, 2)]
        return records, made.save(0)

    workload = Workload(LAWFUL["rare"], {})
    for seed in (0, 1):
        records, state = trained(workload, seed)
        expected, alone = trained(Workload(LAWFUL["rare"], {}), seed)
        assert all(map(same, records, expected))
        assert same(state, alone)
