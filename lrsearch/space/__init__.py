"""The space of a study: what may vary, as suggestions, grid cells and schedules."""

from .declared import searched
from .dimensions import Dimension, Suggesting
from .lengths import resolved_length
from .space import MAX_CELLS, Space

__all__ = ["MAX_CELLS", "Dimension", "Space", "Suggesting", "resolved_length", "searched"]
