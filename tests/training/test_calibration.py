"""Calibration: what is chosen, that it is remembered, and that it leaves no trace."""

from __future__ import annotations

import json
import re
from functools import partial

import numpy as np
import pytest
import torch

from lrsearch.study import TrainSpec
from lrsearch.tasks.catalog import BUILT_IN
from lrsearch.training import calibration, fused_program, measurement, mkl
from lrsearch.training.calibration import calibrated
from lrsearch.training.fused_program import FusedProgram
from lrsearch.training.least_squares import LeastSquaresProgram
from lrsearch.training.program import MODEL, OutOfMemory
from lrsearch.training.torch_program import TorchProgram
from lrsearch.training.workload import Workload

from .zoo import Lstm, Mlp

TRAIN = TrainSpec.read({"optimizer": "adam", "batch_size": 50})


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder of what is remembered, and a process that knows nothing yet."""
    monkeypatch.setenv("LRSEARCH_CALIBRATION", str(tmp_path / "calibration"))
    monkeypatch.setattr(calibration, "_known", {})
    return tmp_path / "calibration"


class Branching(Mlp):
    """Its measure looks at numbers: nothing that many lanes can share."""

    name = "branching"

    def measure(self, outputs, targets):
        return {"large": torch.ones(()) if outputs.sum() > 0 else torch.zeros(())}


class Mixing(Mlp):
    """Its loss depends on how large a first axis is that only a lane axis could give."""

    name = "mixing"

    def loss(self, outputs, targets):
        lanes = torch._C._functorch.maybe_get_level(outputs) > 0
        return super().loss(outputs, targets) * (2.0 if lanes else 1.0)


@pytest.mark.parametrize(
    ("task", "says"), [(Lstm, "LSTM"), (Branching, "cannot share"), (Mixing, "train_loss differs|val_loss differs")]
)
def test_what_cannot_share_a_program_trains_lane_by_lane_and_says_why_once(task, says, caplog):
    workload = Workload(task, {})
    choice = calibrated(workload, TRAIN, 0, "cpu")
    assert choice.program is TorchProgram
    assert choice.update_seconds > 0
    assert re.search(says, choice.note)
    assert calibrated(workload, TRAIN, 1, "cpu") == choice
    assert len([record for record in caplog.records if choice.note in record.getMessage()]) == 1


class Uneven(FusedProgram):
    """Its lanes' last bits depend on how many there are."""

    def save(self, lane):
        state = super().save(lane)
        name = next(name for name in state if name.startswith(MODEL))
        return state | {name: state[name] * (1 + 1e-6 * self.n_lanes)}


@pytest.mark.parametrize("strict", [True, False])
def test_lanes_whose_bits_depend_on_their_number_are_fused_on_other_devices_than_processors_only(monkeypatch, strict):
    monkeypatch.setattr(mkl, "strict", lambda: strict)
    workload = Workload(BUILT_IN["synthetic-mlp"], {})
    made = partial(TorchProgram, workload, TRAIN, 0, "cpu"), {"torch": partial(Uneven, workload, TRAIN, 0, "cpu")}
    refused = measurement.measured(*made, torch.device("cpu"))
    assert refused.lanes == 1
    assert "last bits" in refused.note
    assert ("MKL_CBWR" in refused.note) is not strict
    taken = measurement.measured(*made, torch.device("mps"))
    assert taken.lanes > 1
    assert taken.note.startswith("is fused though a lane's last bits depend")


def test_a_small_network_is_fused_and_another_process_chooses_alike(folder, monkeypatch):
    workload = Workload(BUILT_IN["synthetic-mlp"], {})
    choice = calibrated(workload, TRAIN, 0, "cpu")
    assert choice.program is FusedProgram
    assert choice.lanes > 1
    assert choice.note is None
    (file,) = folder.glob("*.json")
    changed = {**json.loads(file.read_bytes()), "lanes": 77}
    file.write_text(json.dumps(changed))
    monkeypatch.setattr(calibration, "_known", {})
    assert calibrated(workload, TRAIN, 3, "cpu").lanes == 77
    for broken in (b"", b"[1]", json.dumps({**changed, "lanes": "many"}).encode()):
        file.write_bytes(broken)
        monkeypatch.setattr(calibration, "_known", {})
        assert calibrated(workload, TRAIN, 3, "cpu").lanes != 77
        assert json.loads(file.read_bytes())["lanes"] != 77


def test_nothing_of_it_stays(same):
    workload = Workload(Mlp, {})
    rates = np.full((1, 3, 1), 0.01)
    expected = FusedProgram(workload, TRAIN, 0, "cpu").run_epoch(1, rates)[0]
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    calibrated(workload, TRAIN, 0, "cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert same(FusedProgram(workload, TRAIN, 0, "cpu").run_epoch(1, rates)[0], expected)


def test_another_recipe_or_task_is_measured_for_itself(folder):
    for task, batch_size in ((Mlp, 50), (Mlp, 30), (Lstm, 50)):
        calibrated(Workload(task, {}), TrainSpec.read({"optimizer": "sgd", "batch_size": batch_size}), 0, "cpu")
    assert len(list(folder.glob("*.json"))) == 3


def test_least_squares_has_its_own_program():
    workload = Workload(BUILT_IN["least-squares"], {})
    assert calibrated(workload, TrainSpec.read({"optimizer": "sgd", "batch_size": 2}), 0).program is LeastSquaresProgram


def test_what_cannot_be_kept_is_measured_again(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LRSEARCH_CALIBRATION", str(tmp_path / "file"))
    assert calibrated(Workload(Lstm, {}), TRAIN, 0, "cpu").note is not None


class Crowded(FusedProgram):
    """On a device whose memory others hold for now."""

    error: type[Exception] = OutOfMemory
    when = "fork"

    def __init__(self, *given):
        self._busy("begin")
        super().__init__(*given)

    def _busy(self, when):
        if self.when == when:
            raise self.error("CUDA out of memory. Tried to allocate 2.00 GiB")

    def fork(self, index):
        self._busy("fork")
        super().fork(index)

    def save(self, lane):
        self._busy("save")
        return super().save(lane)


@pytest.mark.parametrize(
    ("when", "error"),
    [("fork", OutOfMemory), ("save", OutOfMemory), ("begin", torch.OutOfMemoryError), ("begin", RuntimeError)],
)
def test_what_did_not_fit_beside_others_is_tried_again_by_the_next_process(folder, monkeypatch, when, error):
    workload = Workload(BUILT_IN["synthetic-mlp"], {})
    with monkeypatch.context() as busy:
        busy.setattr(fused_program, "FUSED", {"torch": Crowded})
        busy.setattr(Crowded, "when", when)
        busy.setattr(Crowded, "error", error)
        crowded = calibrated(workload, TRAIN, 0, "cpu")
    assert crowded.program is TorchProgram
    assert "do not fit the memory" in crowded.note
    assert list(folder.glob("*.json")) == []
    assert calibrated(workload, TRAIN, 1, "cpu") == crowded  # within a process nothing changes
    monkeypatch.setattr(calibration, "_known", {})
    assert calibrated(workload, TRAIN, 0, "cpu").program is FusedProgram
    assert len(list(folder.glob("*.json"))) == 1


def test_fewer_lanes_for_want_of_memory_are_remembered_only_where_an_idle_device_holds_no_more(monkeypatch):
    given = (Workload(BUILT_IN["synthetic-mlp"], {}), TRAIN, 0, "cpu")
    where = torch.device("cpu")

    def measured():
        return measurement.measured(partial(TorchProgram, *given), {"torch": partial(FusedProgram, *given)}, where)

    monkeypatch.setattr(measurement, "_free_bytes", lambda where: 0)
    busy = measured()
    assert busy.lanes == min(measurement.LANE_COUNTS)
    assert not busy.lasting
    monkeypatch.setattr(measurement, "_all_bytes", lambda where: 0)
    small = measured()
    assert small.lanes == busy.lanes
    assert small.lasting


def test_no_more_lanes_are_planned_than_memory_holds():
    """By their states, and by what fewer lanes were seen to need."""
    where = torch.device("cpu")
    made = FusedProgram(Workload(Mlp, {}), TRAIN, 0, "cpu")
    state = sum(array.nbytes for array in made.save(0).values())
    memory = 4 * 128 * state * 2
    assert measurement._fits(lambda: made, 128, 0.0, memory)
    assert measurement._fits(lambda: made, 128, float(state), memory)
    assert not measurement._fits(lambda: made, 129, 0.0, memory)
    assert not measurement._fits(lambda: made, 128, state * 1.01, memory)
    assert measurement._peak_bytes(where) > 2**20  # a process with torch has more
    assert 0 < measurement._free_bytes(where) <= measurement._all_bytes(where)
