"""A function over tensors, recorded once and replayed: no autograd, no vmap, no allocation; the same bits."""

from .recording import forbid, under_way
from .tape import Tape, Tapes
from .taped import Graphed, Results, Taped

__all__ = ["Graphed", "Results", "Tape", "Taped", "Tapes", "forbid", "under_way"]
