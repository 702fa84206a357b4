"""A look at the weights in a few updates: how large the gradients are, how much an update moves, what stays still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..diagnosis.pieces import sampled_updates
from ..schedules import FloatArray

MOST_LAYERS = 32


@dataclass(frozen=True, slots=True)
class Layer:
    """A weight that is looked at: its number among those that are trained, its layer's name."""

    index: int
    name: str
    sparse: bool
    """Whether units without gradient are no wonder: rows of an embedding that no example of a batch names."""


def layers_of(model: torch.nn.Module) -> list[Layer]:
    """The weights (not the biases) that a model trains, at most 32 of them, evenly chosen, in the model's order."""
    sparse = {
        f"{name}.weight".removeprefix(".")
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding | torch.nn.EmbeddingBag)
    }
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    held = [(i, name, p.ndim) for i, (name, p) in enumerate(trained) if p.numel()]
    found = [(i, name) for i, name, ndim in held if ndim > 1] or [(i, name) for i, name, _ in held]
    if len(found) > MOST_LAYERS:
        found = [found[round(i)] for i in np.linspace(0, len(found) - 1, MOST_LAYERS)]
    return [Layer(i, name.removesuffix(".weight")[:200], name in sparse) for i, name in found]


class Probe:
    """Looks at some updates of one interval. It only reads, and what it found stays on the device until the end.

    Args:
        layers: what is looked at.
        first: the interval's first update.
        n: its number of updates.
    """

    def __init__(self, layers: Sequence[Layer], first: int, n: int) -> None:
        self.layers = layers
        self.sampled = sampled_updates(first, n)
        self._wanted = frozenset(self.sampled)
        self._before: list[torch.Tensor] = []
        self._found: list[torch.Tensor] = []

    def wants(self, update: int) -> bool:
        """Whether this update is looked at."""
        return update in self._wanted

    @torch.no_grad()
    def before(self, gradients: Sequence[torch.Tensor | None], weights: Sequence[torch.Tensor]) -> None:
        """Look at gradients, not clipped yet, and the weights they change: all that are trained, a row a lane."""
        self._before = [weights[layer.index].detach().clone() for layer in self.layers]
        norms, dead = [], []
        for layer, weight in zip(self.layers, self._before, strict=True):
            gradient = gradients[layer.index]
            gradient = torch.zeros_like(weight) if gradient is None else gradient
            norms.append(_norm(gradient))
            units = gradient.reshape(len(gradient), weight.shape[1] if weight.ndim > 1 else 1, -1)
            still = (torch.linalg.vector_norm(units, ord=1, dim=2) == 0).to(weight.dtype).mean(dim=1)
            dead.append(torch.zeros_like(still) if layer.sparse else still)
        self._found.append(torch.stack([torch.stack(norms), torch.stack(dead)]))

    @torch.no_grad()
    def after(self, weights: Sequence[torch.Tensor]) -> None:
        """Look at the same weights when the update is done."""
        moved, sizes, norms = [], [], []
        for layer, before in zip(self.layers, self._before, strict=True):
            after = weights[layer.index].detach()
            norms.append(_norm(before))
            sizes.append(torch.maximum(norms[-1], _norm(after)))
            moved.append(_norm(before.sub_(after)))
        self._before = []
        self._found[-1] = torch.cat([self._found[-1], torch.stack([torch.stack(its) for its in (moved, sizes, norms)])])

    def numbers(self, n_lanes: int) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Update-to-weight ratios of all layers together, shape (lanes, samples), and the layers' signs, (.., 4)."""
        if not self._found:
            return np.empty((n_lanes, 0)), {}
        found = torch.stack(self._found).cpu().double().numpy()[..., :n_lanes]
        gradient, dead, moved, size, norm = np.moveaxis(found, (1, 2, 3), (0, 3, 1))  # each (lanes, samples, layers)
        with np.errstate(all="ignore"):
            together = np.sqrt((moved**2).sum(axis=2)) / np.sqrt((size**2).sum(axis=2))
            signs = np.stack([gradient / np.where(norm > 0, norm, size), moved / size, dead, norm], axis=3)
        return together, {layer.name: signs[:, :, i] for i, layer in enumerate(self.layers)}


def _norm(tensor: torch.Tensor) -> torch.Tensor:
    """The norm of every row."""
    norms: torch.Tensor = torch.linalg.vector_norm(tensor.reshape(len(tensor), -1), dim=1)
    return norms
