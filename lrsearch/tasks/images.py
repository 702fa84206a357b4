"""The small convolutional network that the image tasks share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ..frozen import Real
from .task import Options

if TYPE_CHECKING:
    from torch import nn


class CnnOptions(Options):
    """Options of the convolutional image tasks."""

    dropout: Annotated[Real, Field(ge=0, lt=1)] = 0.3
    """Share of activations dropped after the second pool and after the hidden layer."""
    batch_norm: bool = False
    """Batch normalisation after each convolution."""


def small_cnn(side: int, options: Any) -> nn.Module:
    """Conv 3x3 16-32, each with ReLU and 2x2 max-pool; fully connected 128; 10 scores.

    Args:
        side: height and width of the images, a multiple of 4; one channel.
        options: ``CnnOptions``.
    """
    from torch import nn

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(outputs)] if options.batch_norm else []
        return [nn.Conv2d(inputs, outputs, 3, padding=1), *norm, nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(
        *block(1, 16),
        *block(16, 32),
        nn.Dropout(options.dropout),
        nn.Flatten(),
        nn.Linear(32 * (side // 4) ** 2, 128),
        nn.ReLU(),
        nn.Dropout(options.dropout),
        nn.Linear(128, 10),
    )
