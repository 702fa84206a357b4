"""A function over tensors, recorded once and replayed: no autograd, no vmap, no allocation; the same bits."""

from .recording import forbid, under_way
from .taped import Results, Taped

__all__ = ["Results", "Taped", "forbid", "under_way"]
