"""A function over tensors, recorded once and replayed: no autograd, no vmap, no allocation; the same bits."""

from .taped import Results, Taped

__all__ = ["Results", "Taped"]
