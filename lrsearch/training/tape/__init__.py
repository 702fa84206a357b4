"""A function over tensors, recorded once and replayed: no autograd, no vmap, no allocation; the same bits."""

from .recording import forbid, under_way
from .tape import Tapes
from .taped import Results, Taped

__all__ = ["Results", "Taped", "Tapes", "forbid", "under_way"]
