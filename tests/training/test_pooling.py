"""Max-pooling before a ReLU: every number is what it is after one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import lrsearch
from lrsearch.study import TrainSpec
from lrsearch.tasks.task import Task
from lrsearch.training.fused_program import FusedByProducts, FusedProgram
from lrsearch.training.pooling import pooled_first
from lrsearch.training.torch_program import TorchProgram
from lrsearch.training.workload import Workload

from .zoo import drawn

POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}


def types(model):
    return [type(layer) for layer in model]


def passed(model, inputs, weights):
    """What a model makes of some inputs, and their gradient."""
    leaf = inputs.clone().requires_grad_()
    outputs = model(leaf * 1)  # a ReLU may write where it reads
    (outputs * weights[: outputs.numel()].view(outputs.shape)).sum().backward()
    return outputs.detach(), leaf.grad


@st.composite
def poolings(draw):
    """A pooling, and a shape that it takes."""
    dims, kernel = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    pool = POOLS[dims](
        kernel,
        stride=draw(st.integers(1, 3)),
        padding=draw(st.integers(0, kernel // 2)),
        dilation=draw(st.integers(1, 2)),
        ceil_mode=draw(st.booleans()),
    )
    return pool, (2, 3, *draw(st.lists(st.integers(8, 11), min_size=dims, max_size=dims)))


@given(poolings(), st.integers(0, 2**32), st.booleans(), st.booleans(), st.booleans())
def test_outputs_and_gradients_are_the_same(pooling, seed, inplace, ties, odd):
    pool, shape = pooling
    drawn = torch.Generator().manual_seed(seed)
    inputs, weights = torch.randn(shape, generator=drawn), torch.randn(10_000, generator=drawn)
    if ties:
        inputs = inputs.round()
    if odd:
        flat = inputs.view(-1)
        flat[::7], flat[3::11], flat[5::13] = torch.nan, torch.inf, -torch.inf
    before, after = nn.Sequential(nn.ReLU(inplace), pool), pooled_first(nn.Sequential(nn.ReLU(inplace), pool))
    assert types(after) == [type(pool), nn.ReLU]
    for one, other in zip(passed(before, inputs, weights), passed(after, inputs, weights), strict=True):
        assert np.array_equal(one, other, equal_nan=True)


class Pooled(Task):
    """Two layers of convolutions on 2 x 8 x 8 images, each with a ReLU, then pooled."""

    name = "pooled"
    has_test = False

    class Options(lrsearch.Options):
        """Whether the layers lie in a module of the task's own, which is left as it is."""

        hidden: bool = False

    def model(self):
        model = nn.Sequential(
            nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 1)),
            nn.Dropout(0.2), nn.Flatten(), nn.Linear(16, 4),
        )  # fmt: skip
        return Hidden(model) if self.options.hidden else model

    def data(self):
        return drawn(2, 8, 8)


class Hidden(nn.Module):
    """A model with code of its own."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x):
        return self.inside(x)


@pytest.mark.parametrize("kind", [TorchProgram, FusedProgram, FusedByProducts])
def test_training_leaves_the_same_weights(kind):
    states = []
    for hidden in (False, True):
        recipe = TrainSpec.read({"optimizer": "sgd", "batch_size": 50, "precision": "float64"})
        program = kind(Workload(Pooled, {"hidden": hidden}), recipe, 0, "cpu")
        program.fork([0, 0])
        for epoch in (1, 2, 3):
            program.run_epoch(epoch, np.full((2, 3, 1), 0.05))
        states.append({name.replace("inside.", ""): array for name, array in program.save(1).items()})
    assert states[0].keys() == states[1].keys()
    for name, array in states[0].items():
        assert array == pytest.approx(states[1][name], rel=1e-10, abs=1e-12), name


def test_what_somebody_else_may_look_at_is_left_alone():
    class Ours(nn.Sequential):
        pass

    class Cut(nn.ReLU):
        pass

    hooked = nn.ReLU()
    hooked.register_forward_hook(lambda *_: None)
    watched = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))
    watched.register_forward_pre_hook(lambda *_: None)
    for model in (
        Ours(nn.ReLU(), nn.MaxPool2d(2)),
        Hidden(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))),
        nn.Sequential(Cut(), nn.MaxPool2d(2)),
        nn.Sequential(hooked, nn.MaxPool2d(2)),
        nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, return_indices=True)),
        nn.Sequential(nn.ReLU(), nn.AvgPool2d(2)),
        nn.Sequential(Ours(nn.ReLU(), nn.MaxPool2d(2))),
        watched,
    ):
        before = [type(module) for module in model.modules()]
        assert [type(module) for module in pooled_first(model).modules()] == before


def test_several_poolings_pass_one_relu():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2), nn.Linear(2, 2))
    names = model.state_dict().keys()
    assert types(pooled_first(model)) == [nn.Conv2d, nn.MaxPool2d, nn.MaxPool2d, nn.ReLU, nn.Linear]
    assert model.state_dict().keys() == names
