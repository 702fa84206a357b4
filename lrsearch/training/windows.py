"""Where a convolution's windows lie in its inputs: as the rows of a matrix, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import torch

Axes = tuple[int, ...]


@dataclass(frozen=True)
class Windows:
    """A kernel's windows, a number each axis of space.

    Attributes:
        kernel: how many numbers wide a window is.
        stride: how far apart windows begin.
        padding: how many zeros surround the inputs, on either side.
        dilation: how far apart a window's numbers are.
    """

    kernel: Axes
    stride: Axes
    padding: Axes
    dilation: Axes

    def padded(self, space: Sequence[int]) -> Axes:
        """The inputs' size with the zeros around them."""
        return tuple(size + 2 * zeros for size, zeros in zip(space, self.padding, strict=True))

    def counts(self, space: Sequence[int]) -> Axes:
        """How many windows there are in inputs of size ``space``."""
        each = zip(self.padded(space), self.kernel, self.stride, self.dilation, strict=True)
        return tuple((size - far * (width - 1) - 1) // step + 1 for size, width, step, far in each)

    def rows(self, inputs: torch.Tensor) -> torch.Tensor:
        """A row a window: (lanes, B, \\*space, C) -> (lanes, B \\* windows, kernel \\* C)."""
        lanes, batch, *space, channels = inputs.shape
        around = inputs.contiguous()
        if any(self.padding):
            around = inputs.new_zeros(lanes, batch, *self.padded(space), channels)
            self._inside(around, space).copy_(inputs)
        strides = around.stride()[2:-1]
        begin = [stride * step for stride, step in zip(strides, self.stride, strict=True)]
        within = [stride * far for stride, far in zip(strides, self.dilation, strict=True)]
        shape = (lanes, batch, *self.counts(space), *self.kernel, channels)
        view = around.as_strided(shape, (*around.stride()[:2], *begin, *within, 1))
        return view.reshape(lanes, -1, prod(self.kernel) * channels)

    def sums(self, rows: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """The transpose of ``rows``: each input's sum over the windows it is in, of shape (lanes, B, \\*space, C)."""
        lanes, batch, *space, channels = shape
        counts = self.counts(space)
        parts = rows.view(lanes, batch, *counts, prod(self.kernel), channels)
        around = rows.new_zeros(lanes, batch, *self.padded(space), channels)
        for number, place in enumerate(product(*map(range, self.kernel))):
            each = zip(place, self.dilation, self.stride, counts, strict=True)
            where = [slice(at * far, at * far + step * (n - 1) + 1, step) for at, far, step, n in each]
            around[:, :, *where].add_(parts[..., number, :])
        return self._inside(around, space)

    def _inside(self, around: torch.Tensor, space: Sequence[int]) -> torch.Tensor:
        return around[:, :, *(slice(zeros, zeros + n) for zeros, n in zip(self.padding, space, strict=True))]
