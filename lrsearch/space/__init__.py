"""The space of a study: what may vary, as suggestions, grid cells and schedules."""

from .declared import searched
from .dimensions import Choices, Dimension, Interval, Listed, Spaced, Steps, Suggesting
from .lengths import resolved_length
from .space import MAX_CELLS, Space

__all__ = [
    "MAX_CELLS", "Choices", "Dimension", "Interval", "Listed", "Space", "Spaced", "Steps", "Suggesting",
    "resolved_length", "searched",
]  # fmt: skip
