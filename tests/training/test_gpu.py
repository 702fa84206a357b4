"""What a CUDA device must do as a processor does. On a processor, too, where that makes sense: the tests are right."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from lrsearch.study import TrainSpec
from lrsearch.training.calibration import calibrated
from lrsearch.training.device import pinned
from lrsearch.training.fused_program import FUSED, FusedProgram, fused_kinds
from lrsearch.training.python_draws import python_draws
from lrsearch.training.tape import Graphed
from lrsearch.training.tape.graph import Graph, Watch
from lrsearch.training.torch_lane import convolves
from lrsearch.training.torch_program import TorchProgram
from lrsearch.training.workload import Workload

from .zoo import FUSABLE

GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
ON_GPU = pytest.mark.parametrize("device", [pytest.param("cuda", marks=GPU)])
WITHOUT = {FUSED[f"{kind}-graphs"]: FUSED[kind] for kind in ("torch", "products")}
RATES = np.array([0.02, 0.01, 0.005])
WORKLOADS = {name: Workload(task, {}) for name, task in FUSABLE.items()}


def given(name, device, **train):
    return WORKLOADS[name], TrainSpec.read({"optimizer": "adam", "batch_size": 50, **train}), 0, device


def kinds_on(device, name):
    return [FUSED[kind] for kind in fused_kinds(torch.device(device), convolves=convolves(WORKLOADS[name].task))]


def trained(program, epochs=6, lanes=3):
    """Its last lane's records and state, after forks that change the number of lanes and forks that do not."""
    records = []
    program.fork([0] * lanes)
    for epoch in range(1, epochs + 1):
        rates = RATES / epoch * np.linspace(2, 1, program.n_lanes)[:, None]
        records.append(program.run_epoch(epoch, rates[:, :, None])[-1])
        if epoch == epochs // 2:
            last = program.n_lanes - 1
            program.fork([last] * program.n_lanes if epoch % 2 else [0, last])
    return records, program.save(program.n_lanes - 1)


def largest_difference(one, other):
    """Between two states' numbers."""
    assert one.keys() == other.keys()
    return max(float(np.max(np.abs(np.asarray(one[k], float) - other[k]), initial=0)) for k in one)


@DEVICES
@pytest.mark.parametrize("name", FUSABLE)
def test_what_a_device_trains_is_what_a_processor_trains(name, device):
    recipe = {"precision": "float64"}
    if name == "transformer":  # the masks of a GPU are others
        WORKLOADS.setdefault("calm", Workload(FUSABLE[name], {"dropout": 0.0}))
        name = "calm"
    _, expected = trained(FusedProgram(*given(name, "cpu", **recipe)))
    for kind in kinds_on(device, name):
        _, state = trained(kind(*given(name, device, **recipe)))
        assert largest_difference(state, expected) < 1e-8


@ON_GPU
@pytest.mark.parametrize("name", FUSABLE)
def test_graphs_give_the_bits_of_what_they_captured(same, name, device):
    for kind in kinds_on(device, name):
        if kind.graphs:
            records, state = trained(kind(*given(name, device)))
            expected, plainly = trained(WITHOUT[kind](*given(name, device)))
            assert same(state, plainly)
            assert all(map(same, records, expected))


@ON_GPU
def test_a_pass_is_launched_as_a_graph_and_no_other_pass_is(device):
    [_, graphs] = kinds_on(device, "mlp")
    program = graphs(*given("mlp", device))
    trained(program)
    assert any(taped.plays for taped in program._passes._taped.values())
    plain = FusedProgram(*given("mlp", device))
    trained(plain)
    assert not plain._passes._taped


@DEVICES
@pytest.mark.parametrize("name", FUSABLE)
def test_a_lane_is_the_same_alone_and_in_company_or_it_is_said(same, name, device):
    choice = calibrated(*given(name, device))
    if choice.program is TorchProgram:
        assert "lane by lane" in choice.note
        return
    alone, crowd = choice.program(*given(name, device)), choice.program(*given(name, device))
    crowd.fork([0] * 9)
    for epoch in range(1, 8):
        rates = (RATES * np.linspace(0.3, 3, 9)[:, None])[:, :, None]
        rates[4] = RATES[:, None]
        crowd.run_epoch(epoch, rates)
        alone.run_epoch(epoch, RATES[None, :, None])
    if choice.note is None:
        assert same(crowd.save(4), alone.save(0))
    else:
        assert largest_difference(crowd.save(4), alone.save(0)) < 1e-2


@ON_GPU
def test_dropout_goes_on_after_a_capture_that_failed(device):
    given = torch.ones(64, device=device)

    def reads():
        return {"it": torch.dropout(given, 0.5, True) * float(given.sum())}

    with Watch() as watch:
        reads()
    assert watch.unfit is not None
    with pytest.raises(RuntimeError):
        Graph(reads, watch, torch.device(device), torch.cuda.graph_pool_handle())
    assert torch.dropout(given, 0.5, True).isfinite().all()


@ON_GPU
def test_what_draws_from_python_or_looks_at_numbers_is_not_captured(device):
    given = torch.ones(4, device=device)

    def drawing():
        with python_draws():
            return {"it": given * (2 if random.random() < 0.1 else 3)}

    for function in (
        drawing,
        lambda: {"it": given * given.sum().item()},
        lambda: {"it": given + torch.tensor([1.0] * 4, device=device)},
    ):
        call = Graphed(function, [given], pool=torch.cuda.graph_pool_handle())
        for _ in range(8):
            call()
        assert not call.plays


@ON_GPU
def test_fewer_bits_that_a_caller_allows_are_for_the_caller(device):
    one, other = torch.randn(2, 256, 256, device=device)
    whole = one @ other
    try:
        torch.set_float32_matmul_precision("high")
        with pinned(torch.device(device)):
            assert torch.equal(one @ other, whole)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
