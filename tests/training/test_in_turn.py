"""Lanes that take turns: what they share changes nobody's bits."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import dropout, max_pool2d
from torch.utils.checkpoint import checkpoint

from lrsearch.study import TrainSpec
from lrsearch.training import measurement
from lrsearch.training.fused_program import FusedProgram
from lrsearch.training.in_turn import InTurn
from lrsearch.training.program import OutOfMemory
from lrsearch.training.tape import Taped, Tapes, taped
from lrsearch.training.torch_program import TorchProgram
from lrsearch.training.workload import Workload

from .zoo import FUSABLE

CALLS = taped.ORDINARY + 2
"""As many as it takes until a tape is played."""
ODD = [0.0, torch.nan, torch.inf, -torch.inf, 1e-42]


def equal(one, other):
    return one.keys() == other.keys() and all(taped.same_bits(one[name], other[name]) for name in one)


def copies(results):
    return {name: tensor.clone() for name, tensor in results.items()}


def lanes(name, n, seed=0, **train):
    recipe = {"optimizer": "adam", "batch_size": 50, **train}
    made = InTurn(Workload(FUSABLE[name], {}), TrainSpec.read(recipe), seed, "cpu")
    made.fork([0] * n)
    return made


def controls(n, updates=8):
    return np.linspace(0.001, 0.03, n)[:, None, None].repeat(updates, axis=1)


@settings(max_examples=60)
@given(st.data())
def test_pooling_before_relu_gives_the_same_bits(data):
    draw = data.draw
    kernel = draw(st.integers(1, 3), label="kernel")
    how = {
        "stride": draw(st.integers(1, 3), label="stride"),
        "padding": draw(st.integers(0, kernel // 2), label="padding"),
        "dilation": draw(st.integers(1, 2), label="dilation"),
        "ceil_mode": draw(st.booleans(), label="ceil"),
    }
    layout = draw(st.sampled_from([torch.contiguous_format, torch.channels_last]), label="layout")
    turned = draw(st.booleans(), label="the gradient lies otherwise")
    shape = (3, 5, draw(st.integers(5, 9), label="height"), draw(st.integers(5, 9), label="width"))
    x = torch.zeros(shape).to(memory_format=layout).requires_grad_()

    def function():
        y = max_pool2d(torch.relu(x * 1.5), kernel, **how)
        weights = torch.arange(y.numel()).view(y.shape).cos()
        weights = weights.to(memory_format=torch.channels_last) if turned else weights
        (gradient,) = torch.autograd.grad((y * weights).sum(), x)
        return {"y": y.detach(), "gradient": gradient}

    tape = Taped(function)
    for call in range(CALLS + 4):
        torch.manual_seed(call)
        with torch.no_grad():
            x.normal_()
            places = torch.rand(shape) < 0.2
            x[places] = torch.tensor(ODD)[torch.randint(len(ODD), shape)][places] if call >= CALLS else 0.0
        assert equal(copies(tape()), function())
    assert tape.plays
    names = [call.name for call in tape._played.calls]
    assert names.index("max_pool2d_with_indices") < names.index("relu")


def with_rectified(rectified):
    return max_pool2d(rectified, 2).sum() + rectified.sum()


def with_places(rectified):
    pooled, places = max_pool2d(rectified, 2, return_indices=True)
    return (pooled * places).sum()


@pytest.mark.parametrize("loss", [with_rectified, with_places])
def test_relu_stays_where_others_look_at_its_result(loss):
    x = torch.randn(2, 3, 8, 8).requires_grad_()

    def function():
        return {"gradient": torch.autograd.grad(loss(torch.relu(x * 2)), x)[0]}

    tape = Taped(function)
    for _ in range(CALLS):
        tape()
    assert tape.plays
    assert equal(copies(tape()), function())
    names = [call.name for call in tape._played.calls]
    assert names.index("relu") < names.index("max_pool2d_with_indices")


def test_what_was_drawn_serves_all_of_one_moment():
    shared, given = Tapes(), [torch.randn(40), torch.randn(40)]

    def dropped(x):
        return lambda: {"it": dropout(dropout(x, 0.5).exp(), 0.3)}

    functions = [dropped(x) for x in given]
    both = [Taped(function, [x], shared.of("it")) for function, x in zip(functions, given, strict=True)]
    for call in range(2 * CALLS):
        for tape, x, function in zip(both, given, functions, strict=True):
            x.normal_()
            torch.manual_seed(call)
            played = copies(tape(("seed", call)))
            torch.manual_seed(call)
            assert equal(played, function())
    assert all(tape.plays for tape in both)
    assert [call.drawn for call in both[0]._played.calls].count(True) == 4
    torch.manual_seed(0)
    state = torch.get_rng_state()
    both[0]("a moment")
    assert not torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    both[1]("a moment")
    assert torch.equal(torch.get_rng_state(), state)
    both[1]()
    assert not torch.equal(torch.get_rng_state(), state)


def unlike_masks(x):
    """Draws whose probabilities depend on what is given."""
    return lambda: {"it": torch.bernoulli(torch.sigmoid(x)) + dropout(x, 0.5)}


def overwritten(x):
    """A mask that something else is added to."""
    return lambda: {"it": torch.empty_like(x).bernoulli_(0.5).add_(x) * 2}


def joined(x):
    """Noise beside what is given, in one memory."""
    return lambda: {"it": torch.cat([x.exp(), torch.randn(40)]).tanh()}


def joined_otherwise(x):
    """The same the other way round."""
    return lambda: {"it": torch.cat([torch.randn(40), x.exp()]).tanh()}


@torch.library.custom_op("lrsearch_tests::noisy", mutates_args=())
def noisy(x: torch.Tensor) -> torch.Tensor:
    return x + torch.rand(x.shape)


def by_another_library(x):
    """A mask beside an operator that draws and does not say so."""
    return lambda: {"it": noisy(dropout(x, 0.5))}


@pytest.mark.parametrize("make", [unlike_masks, overwritten, joined, joined_otherwise, by_another_library])
def test_of_what_depends_on_more_than_draws_nothing_serves_again(make):
    x = torch.randn(40)
    function = make(x)
    tape = Taped(function)
    for _ in range(2 * CALLS):
        x.normal_()
        torch.manual_seed(7)
        played = copies(tape("one moment"))
        torch.manual_seed(7)
        assert equal(played, function())
    assert tape.plays


def test_all_share_the_first_tape_and_wait_for_nobody_who_is_gone():
    shared, given = Tapes(), {number: torch.randn(4) for number in range(3)}
    all_of_them = {n: Taped(lambda x=x: {"it": x + 1}, [x], shared.of("it")) for n, x in given.items()}

    def call(times):
        for _ in range(times):
            for n, tape in all_of_them.items():
                assert torch.equal(tape()["it"], given[n] + 1)

    call(2)
    known = shared.of("it")
    (recorder,) = [n for n, tape in all_of_them.items() if known.recorder() is tape]
    assert known.tape is None
    del all_of_them[recorder]
    assert known.recorder() is None
    call(CALLS)
    assert all(tape.plays for tape in all_of_them.values())
    homes = {tape._played.results["it"].data_ptr() for tape in all_of_them.values()}
    assert len(homes) == 1


@pytest.mark.parametrize("name", FUSABLE)
def test_lanes_train_the_same_with_and_without_tapes(same, monkeypatch, name):
    seen = []
    for longest in (np.inf, 0):
        monkeypatch.setattr(taped, "LONGEST_SECONDS", longest)
        made = lanes(name, 3)
        records = [record for epoch in (1, 2) for record in made.run_epoch(epoch, controls(3))]
        made.fork([2, 0, 2, 1])
        records += made.run_epoch(3, controls(4))
        plays = [call.plays for lane in made._lanes for call in lane._passes._taped.values()]
        assert any(plays) == (longest > 0)
        seen.append((records, [made.save(lane) for lane in range(4)]))
    (with_records, with_states), (records, states) = seen
    assert all(map(same, with_records, records))
    assert all(map(same, with_states, states))


def test_the_seconds_of_all_lanes_are_no_more_than_have_passed():
    made = lanes("digits-cnn", 8)
    began = time.perf_counter()
    records = made.run_epoch(1, controls(8))
    assert 0 < sum(record.seconds for record in records) <= time.perf_counter() - began


class Sampled(FUSABLE["digits-cnn"]):
    """Drops numbers while it is evaluated, too."""

    name = "sampled"

    def model(self):
        return nn.Sequential(super().model(), Always())


class Always(nn.Module):
    def forward(self, x):
        return dropout(x, 0.2, training=True)


def test_what_is_drawn_in_validation_does_not_depend_on_others(same):
    recipe = TrainSpec.read({"optimizer": "adam", "batch_size": 50})
    alone, crowd = (InTurn(Workload(Sampled, {}), recipe, 0, "cpu") for _ in range(2))
    crowd.fork([0] * 4)
    for epoch in (1, 2, 3):
        record = alone.run_epoch(epoch, controls(4)[2:3])[0]
        assert same(crowd.run_epoch(epoch, controls(4))[2], record)
    assert same(alone.test(0), crowd.test(2))


class Handed(nn.Module):
    """Hands what it saw from buffer to buffer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 16).view(4, 4))
        self.register_buffer("last", torch.zeros(4))
        self.register_buffer("before", torch.zeros(4))

    def forward(self, x):
        y = x @ self.weight.T
        self.before = self.last
        self.last = y.detach().mean(dim=0)
        return y + 0.1 * self.before


class Handing(FUSABLE["mlp"]):
    name = "handing"

    def model(self):
        made = super().model()
        return nn.Sequential(made, nn.Linear(4, 4), Handed())


@pytest.mark.parametrize("kind", [InTurn, FusedProgram])
def test_buffers_may_take_each_others_place(kind):
    recipe = TrainSpec.read({"optimizer": "sgd", "batch_size": 50, "precision": "float64"})
    workload = Workload(Handing, {})
    lone, other = TorchProgram(workload, recipe, 0, "cpu"), kind(workload, recipe, 0, "cpu")
    other.fork([0, 0])
    for made in (lone, other):
        made.run_epoch(1, controls(1, 3).repeat(made.n_lanes, axis=0))
    for name, expected in lone.save(0).items():
        assert np.allclose(other.save(1)[name], expected, rtol=1e-9), name


class Recomputed(FUSABLE["mlp"]):
    """Keeps nothing of its first half: its backward pass computes that again."""

    name = "recomputed"

    def model(self):
        return nn.Sequential(Checkpointed(super().model()), nn.Linear(4, 4))


class Checkpointed(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return checkpoint(self.inner, x, use_reentrant=False)


def test_what_is_computed_again_must_not_take_turns():
    made = InTurn(Workload(Recomputed, {}), TrainSpec.read({"optimizer": "sgd", "batch_size": 50}), 0, "cpu")
    with pytest.raises(RuntimeError, match="initial weights"):
        made.train_only(np.zeros((1, 1)))


@pytest.mark.parametrize(("free", "lanes", "lasting"), [(1e12, 64, True), (4e6, 16, False), (0, 4, False)])
def test_as_many_take_turns_as_fit_the_memory(monkeypatch, free, lanes, lasting):
    workload, recipe = Workload(FUSABLE["digits-cnn"], {}), TrainSpec.read({"optimizer": "adam", "batch_size": 50})
    alone, turns = (partial(kind, workload, recipe, 0, "cpu") for kind in (TorchProgram, InTurn))
    monkeypatch.setattr(measurement, "TURNS_WORTH", np.inf)
    monkeypatch.setattr(measurement, "_fits", lambda made, n, held, memory: n * 2e5 <= memory)
    monkeypatch.setattr(measurement, "_free_bytes", lambda where: free)
    monkeypatch.setattr(measurement, "_all_bytes", lambda where: 1e12)
    pace = measurement._turns(alone, turns, 0.01, torch.device("cpu"))
    assert (pace.lanes, pace.lasting) == (lanes, lasting)
    monkeypatch.setattr(measurement, "_all_bytes", lambda where: free)
    assert measurement._turns(alone, turns, 0.01, torch.device("cpu")).lasting


def test_memory_that_runs_out_changes_no_lane(same, monkeypatch):
    made = lanes("digits-cnn", 3)
    made.run_epoch(1, controls(3))
    before = [made.save(lane) for lane in range(3)]
    reported = type(made._lanes[0]).recorded

    def full(self, epoch, its, interval, *, began):
        if self is made._lanes[2]:
            raise MemoryError
        return reported(self, epoch, its, interval, began=began)

    with monkeypatch.context() as short:
        short.setattr(type(made._lanes[0]), "recorded", full)
        with pytest.raises(OutOfMemory):
            made.run_epoch(2, controls(3))
    assert all(same(made.save(lane), state) for lane, state in enumerate(before))
    again = lanes("digits-cnn", 3)
    again.run_epoch(1, controls(3))
    expected = again.run_epoch(2, controls(3))
    assert all(map(same, made.run_epoch(2, controls(3)), expected))
