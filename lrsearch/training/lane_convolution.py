"""Convolutions of many lanes at once, as batched products of matrices.

What torch makes of a convolution under ``vmap`` has a group a lane, and processors are slow at it. With channels last,
a window's numbers are few pieces of memory: windows are laid out as the rows of a matrix, a lane's weights are another,
and the convolution is one product forward and two backward. Windows of inputs that all lanes share are laid out once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from .windows import Windows

CONVOLUTIONS = MappingProxyType({torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3})
"""The functions taken over, and their axes of space; all layers of torch call these."""


class ByProducts(TorchFunctionMode):
    """Inside, convolutions with a lane's own weights are products; all else is torch's.

    So are convolutions with groups, with padding given by name, and those of a frozen layer.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call ``func``, or take its place."""
        kwargs = kwargs or {}
        if func in CONVOLUTIONS:
            given = _read(CONVOLUTIONS[func], *args, **kwargs)
            if given is not None:
                return _OfALane.apply(*given)  # type: ignore[no-untyped-call]  # torch types it not
        return func(*args, **kwargs)


def _read(  # noqa: PLR0917  # torch's own arguments
    n_axes: int,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, Windows] | None:
    """A convolution's arguments, by torch's names; None where it is not ours."""
    if groups != 1 or isinstance(padding, str) or input.ndim != n_axes + 2:
        return None
    if not torch._C._functorch.is_batchedtensor(weight):
        return None

    def each(value: Any) -> tuple[int, ...]:
        own = (value,) if isinstance(value, int) else tuple(value)
        return own * n_axes if len(own) == 1 else own

    return input, weight, bias, Windows(tuple(weight.shape[2:]), each(stride), each(padding), each(dilation))


class _OfALane(torch.autograd.Function):
    """What ``vmap`` is told of a lane's convolution. Its gradient is that of the products it becomes."""

    @staticmethod
    def forward(inputs: Any, weights: Any, bias: Any, windows: Windows) -> Any:
        """Never called: ``ByProducts`` takes over lanes' own weights only, and those go to ``vmap``."""
        raise AssertionError("a lane's convolution was called without lanes")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keeps nothing."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, *given: Any) -> Any:
        """All lanes' convolutions; given are the arguments of ``forward``."""
        inputs, weights, bias, windows = given
        weights = weights.movedim(in_dims[1], 0)
        if bias is not None:
            bias = bias.expand(len(weights), -1) if in_dims[2] is None else bias.movedim(in_dims[2], 0)
        last = (inputs[None] if in_dims[0] is None else inputs.movedim(in_dims[0], 0)).movedim(2, -1)
        flat: Any = _Products.apply(last, weights, bias, windows)  # type: ignore[no-untyped-call]  # torch types it not
        shape = (len(weights), last.shape[1], *windows.counts(last.shape[2:-1]), weights.shape[1])
        return flat.view(shape).movedim(-1, 2), 0


class _Products(torch.autograd.Function):
    """The convolution of inputs (lanes or 1, B, \\*space, C) with weights (lanes, O, C, \\*kernel)."""

    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor | None, windows: Windows
    ) -> torch.Tensor:
        """Shape (lanes, B \\* windows, O); no view, as the next layer may change it in place."""
        lanes, n_out = weights.shape[:2]
        rows = windows.rows(inputs).expand(lanes, -1, -1)
        matrix = weights.movedim((1, 2), (-1, -2)).reshape(lanes, -1, n_out)
        flat = torch.bmm(rows, matrix) if bias is None else torch.baddbmm(bias[:, None], rows, matrix)
        ctx.save_for_backward(rows, matrix)
        ctx.windows, ctx.inputs, ctx.weights = windows, inputs.shape, weights.shape
        return flat

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Of inputs, weights and bias."""
        rows, matrix = ctx.saved_tensors
        lanes, n_out, n_in, *kernel = ctx.weights
        flat = gradient.contiguous()
        of_inputs = of_weights = of_bias = None
        if ctx.needs_input_grad[0]:
            of_inputs = ctx.windows.sums(torch.bmm(flat, matrix.mT), ctx.inputs)
        if ctx.needs_input_grad[1]:
            product = torch.bmm(rows.mT, flat).view(lanes, *kernel, n_in, n_out)
            of_weights = product.movedim((-1, -2), (1, 2))
        if ctx.needs_input_grad[2]:
            of_bias = flat.sum(1)
        return of_inputs, of_weights, of_bias, None
