"""Convolutions as products: the numbers and gradients of torch's, whatever the kernel, stride, padding and layout."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.training.lane_convolution import CONVOLUTIONS, ByProducts

LANES = 3
BY_AXES = {n_axes: function for function, n_axes in CONVOLUTIONS.items()}


@dataclass(frozen=True)
class Case:
    """A convolution's arguments."""

    inputs: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor | None
    settings: dict[str, object]

    def outputs(self, by_products):
        """Of all lanes, and the gradients of a sum of their squares."""
        tensors = [tensor for tensor in (self.inputs, self.weights, self.bias) if tensor is not None]
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        function = BY_AXES[self.weights.ndim - 3]
        shared = self.inputs.ndim == self.weights.ndim - 1
        if shared:
            leaves[0] = leaves[0].detach()

        def lane(inputs, weights, *bias):
            return torch.relu(function(inputs, weights, *bias, **self.settings))

        vectorised = torch.vmap(lane, in_dims=(None if shared else 0, *[0] * (len(leaves) - 1)))
        if by_products:
            with ByProducts():
                made = vectorised(*leaves)
        else:
            made = vectorised(*leaves)
        return [made, *torch.autograd.grad(made.square().sum(), leaves[shared:])]


@st.composite
def cases(draw):
    """Convolutions of one to three axes; inputs a lane or shared, channels last or not."""
    n_axes = draw(st.integers(1, 3))
    axes = st.tuples(*[st.integers(1, 3)] * n_axes)
    kernel, stride, dilation = draw(axes), draw(axes), draw(axes)
    padding = draw(st.tuples(*[st.integers(0, 2)] * n_axes))
    space = [
        max(1, far * (width - 1) + 1 - 2 * zeros) + draw(st.integers(0, 3))
        for width, far, zeros in zip(kernel, dilation, padding, strict=True)
    ]
    batch, n_in, n_out = 2, draw(st.integers(1, 3)), draw(st.integers(1, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))

    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    inputs = drawn(*([] if draw(st.booleans()) else [LANES]), batch, *space, n_in).movedim(-1, -1 - n_axes)
    if draw(st.booleans()):
        inputs = inputs.contiguous()
    bias = drawn(LANES, n_out) if draw(st.booleans()) else None
    given = {"stride": stride, "padding": padding, "dilation": dilation}
    return Case(inputs, drawn(LANES, n_out, n_in, *kernel), bias, given)


@settings(max_examples=60)
@given(cases())
def test_numbers_and_gradients_are_those_of_torch(case):
    for ours, theirs in zip(case.outputs(True), case.outputs(False), strict=True):
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    "settings", [{"padding": "same"}, {"groups": 2}, {"padding_mode": "circular", "padding": 1}, {"bias": False}, {}]
)
def test_layers_of_every_kind_are_served(settings, inplace):
    layer = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3, **settings), torch.nn.ReLU(inplace)).double()
    weights = {name: torch.stack([p.detach(), -p.detach()]).requires_grad_() for name, p in layer.named_parameters()}
    inputs = torch.randn(2, 4, 5, 6, dtype=torch.float64)

    def found():
        outputs = torch.vmap(lambda own: torch.func.functional_call(layer, own, (inputs,)))(weights)
        return outputs, *torch.autograd.grad(outputs.square().sum(), list(weights.values()))

    with ByProducts():
        ours = found()
    for one, other in zip(ours, found(), strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)


def test_outside_vmap_nothing_changes():
    inputs, weights = torch.randn(2, 3, 8), torch.randn(4, 3, 3)
    with ByProducts():
        ours = torch.conv1d(inputs, weights)
    assert torch.equal(ours, torch.conv1d(inputs, weights))
