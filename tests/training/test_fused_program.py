"""The fused program: bits that depend on nothing but the lane's own controls, and agreement with torch.optim."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.study import OPTIMIZERS, TrainSpec
from lrsearch.training.fused_program import FUSED, FusedByProducts, FusedProgram
from lrsearch.training.in_turn import InTurn
from lrsearch.training.program import OutOfMemory
from lrsearch.training.tape import taped
from lrsearch.training.torch_lane import convolves
from lrsearch.training.torch_program import TorchProgram
from lrsearch.training.workload import Workload

from .zoo import FUSABLE, Lstm

WORKLOADS = {name: Workload(task, {}) for name, task in FUSABLE.items()}
WORKLOADS["calm"] = Workload(FUSABLE["transformer"], {"dropout": 0.0})
RATES = np.array([0.02, 0.01, 0.005, 0.01])


def program(name, kind=FusedProgram, seed=0, **train):
    recipe = {"optimizer": "adam", "batch_size": 50, **train}
    return kind(WORKLOADS[name], TrainSpec.read(recipe), seed, "cpu")


def trained(made, rates):
    """The records of two intervals: one of ``rates`` (lanes, updates), one of half of them."""
    return [made.run_epoch(epoch, (rates / epoch)[:, :, None]) for epoch in (1, 2)]


@pytest.fixture(scope="module")
def alone():
    """``alone(name, kind)``: records and state of a lane trained alone at ``RATES``."""
    known = {}

    def train(name, kind=FusedProgram):
        if (name, kind) not in known:
            made = program(name, kind)
            known[name, kind] = [records[0] for records in trained(made, RATES[None])], made.save(0)
        return known[name, kind]

    return train


EVERY = [
    *((name, FusedProgram) for name in FUSABLE),
    *((name, FusedByProducts) for name, task in FUSABLE.items() if convolves(task({}))),
    *((name, InTurn) for name in FUSABLE),
]


@pytest.mark.parametrize(("name", "kind"), EVERY)
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lanes=st.integers(2, 40), data=st.data())
def test_bits_depend_neither_on_the_number_of_lanes_nor_on_the_place(alone, same, name, kind, lanes, data):
    place = data.draw(st.integers(0, lanes - 1), label="place")
    records, state = alone(name, kind)
    crowd = program(name, kind)
    crowd.fork([0] * lanes)
    rates = RATES * np.linspace(0.1, 3, lanes)[:, None]
    rates[place] = RATES
    together = trained(crowd, rates)
    assert same(crowd.save(place), state)
    assert all(same(epoch[place], record) for epoch, record in zip(together, records, strict=True))


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_lanes_may_leave_come_and_be_interrupted(alone, same, name, kind):
    records, state = alone(name, kind)
    crowd = program(name, kind)
    crowd.fork([0] * 5)
    crowd.run_epoch(1, (RATES * np.array([1, 2, 3, 1, 5])[:, None])[:, :, None])
    saved = crowd.save(3)
    crowd.fork([0, 3, 2])
    resumed = program(name, kind)
    resumed.fork([0] * 4)
    resumed.load(2, saved)
    assert same(resumed.save(2), saved)
    for other, place in ((crowd, 1), (resumed, 2)):
        record = other.run_epoch(2, np.repeat(RATES[None, :, None] / 2, other.n_lanes, axis=0))[place]
        assert same(record, records[1])
        assert same(other.save(place), state)


# dropout masks are drawn in the order in which activations lie in memory, and those of these two lie otherwise here
AGREEING = [name for name in WORKLOADS if name not in ("digits-cnn", "transformer")]


@pytest.mark.parametrize(
    ("name", "optimizer", "clip_norm"),
    [
        *((name, optimizer, None) for name in ("mlp", "frozen", "calm") for optimizer in OPTIMIZERS),
        *((name, "adam", None) for name in AGREEING if name not in ("mlp", "frozen", "calm")),
        *(("mlp", optimizer, 0.3) for optimizer in OPTIMIZERS),
    ],
)
def test_ten_updates_in_float64_agree_with_torch(name, optimizer, clip_norm):
    # a gradient that is nothing but rounding (attention's key bias) must not be blown up by dividing by its own size
    eps = {"eps": 1e-3} if "eps" in OPTIMIZERS[optimizer].model_fields else {}
    spec = {"name": optimizer, "weight_decay": 0.01, **eps}
    recipe = {"optimizer": spec, "precision": "float64", "clip_norm": clip_norm, "batch_size": 15}
    lone = program(name, TorchProgram, **recipe)
    rates = np.linspace(0.02, 0.001, 10)
    expected = lone.run_epoch(1, rates[None, :, None])[0]
    for kind in FUSED.values() if convolves(WORKLOADS[name].task) else [FusedProgram]:
        assert_agrees(program(name, kind, **recipe), lone, rates, expected)


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("clip_norm", [None, 0.3])
def test_ten_updates_in_turn_agree_with_torch(name, clip_norm):
    spec = {"name": "adam", "weight_decay": 0.01, "eps": 1e-3}
    recipe = {"optimizer": spec, "precision": "float64", "clip_norm": clip_norm, "batch_size": 15}
    lone = program(name, TorchProgram, **recipe)
    rates = np.linspace(0.02, 0.001, 10)
    expected = lone.run_epoch(1, rates[None, :, None])[0]
    assert_agrees(program(name, InTurn, **recipe), lone, rates, expected)


def assert_agrees(fused, lone, rates, expected):
    """A lane of three ends where the model alone did."""
    fused.fork([0, 0, 0])
    record = fused.run_epoch(1, np.stack([rates * 2, rates, rates / 2])[:, :, None])[1]
    assert dict(record.metrics) == pytest.approx(dict(expected.metrics), rel=1e-9)
    ours, theirs = fused.save(1), lone.save(0)
    weights = [key for key in theirs if key.startswith("model.")]
    assert {key for key in ours if key.startswith("model.")} == set(weights)
    for key in weights:
        assert np.abs(ours[key] - theirs[key]).max() <= 1e-10, key


def test_a_lane_that_diverges_touches_no_other(alone, same):
    records, state = alone("mlp")
    crowd = program("mlp")
    crowd.fork([0, 0, 0])
    together = trained(crowd, np.stack([RATES * math.inf, RATES, RATES * 1e30]))
    assert together[0][0].divergence == (1, math.inf)
    assert together[0][1].divergence is None
    assert same(crowd.save(1), state)
    assert same(together[1][1], records[1])


def test_divergence_is_the_same_law_as_alone():
    rates = np.full((1, 12), 1e4)
    rates[:, :2] = 0.01
    lone, fused = (program("mlp", kind, optimizer="sgd") for kind in (TorchProgram, FusedProgram))
    expected, found = (made.run_epoch(1, rates[:, :, None])[0].divergence for made in (lone, fused))
    assert found == expected


def test_what_it_is_given_is_not_its_own(same):
    made = program("mlp")
    state = made.save(0)
    copies = {name: array.copy() for name, array in state.items()}
    made.load(0, state)
    trained(made, RATES[None])
    assert same(state, copies)


def test_an_untrained_weight_must_be_the_same():
    made = program("frozen")
    state = made.save(0)
    state["model.fixed.weight"] = state["model.fixed.weight"] + 1
    with pytest.raises(InvalidInput, match=r"fixed\.weight"):
        made.load(0, state)


def test_what_cannot_be_fused_says_so():
    with pytest.raises(InvalidInput, match=r"lstm.*LSTM"):
        FusedProgram(Workload(Lstm, {}), TrainSpec.read({"optimizer": "adam", "batch_size": 50}), 0, "cpu")


class Hungry(FUSABLE["mlp"]):
    """Runs out of memory when told to."""

    name = "hungry"
    full = False

    def measure(self, outputs, targets):
        if self.full:
            raise torch.OutOfMemoryError("no room")
        return super().measure(outputs, targets)


@pytest.mark.parametrize("after", [0, 2, 4])
def test_when_memory_runs_out_no_lane_has_changed(same, after, monkeypatch):
    monkeypatch.setattr(taped, "LONGEST_SECONDS", 0)  # a tape does not come by the task's code

    class Later(Hungry):
        name = "later"
        left = math.inf

        def measure(self, outputs, targets):
            type(self).left -= 1
            type(self).full = type(self).left < 0
            return super().measure(outputs, targets)

    train = TrainSpec.read({"optimizer": "adam", "batch_size": 50})
    made, reference = (FusedProgram(Workload(Later, {}), train, 0, "cpu") for _ in range(2))
    rates = np.stack([RATES, RATES * 2])[:, :, None]
    for fused in (made, reference):
        fused.fork([0, 0])
        fused.run_epoch(1, rates)
    before = [made.save(lane) for lane in (0, 1)]
    Later.left = after
    with pytest.raises(OutOfMemory):
        made.run_epoch(2, rates)
    Later.left = math.inf
    assert all(same(made.save(lane), state) for lane, state in enumerate(before))
    assert all(same(a, b) for a, b in zip(made.run_epoch(2, rates), reference.run_epoch(2, rates), strict=True))


def test_the_callers_settings_are_theirs_and_change_nothing(same):
    made, reference = program("transformer"), program("transformer")
    expected = reference.run_epoch(1, RATES[None, :, None])[0]
    threads = torch.get_num_threads()
    torch.manual_seed(77)
    before = torch.get_rng_state()
    try:
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        with torch.no_grad():
            assert same(made.run_epoch(1, RATES[None, :, None])[0], expected)
            assert not torch.is_grad_enabled()
        assert torch.get_num_threads() == 2
        assert torch.get_default_dtype() == torch.float64
        assert torch.backends.mha.get_fastpath_enabled()
        assert torch.equal(torch.get_rng_state(), before)
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(torch.float32)
