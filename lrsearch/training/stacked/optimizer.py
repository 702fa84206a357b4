"""What all stacked optimisers have in common: their moments, the count of updates, saving and loading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

import torch

from ...errors import InvalidInput
from ...study import OptimizerSpec

Settings = TypeVar("Settings", bound=OptimizerSpec)
Moments = dict[str, torch.Tensor]
"""What an optimiser remembers of one parameter: tensors of the parameter's shape by name."""

COUNT = "count"
"""int64 of shape (): updates done, the same for all lanes."""


class StackedOptimizer(ABC, Generic[Settings]):
    """An optimiser of lanes that are all at the same update and share all settings but the rate.

    What becomes of a lane depends on its own parameters, gradients and rates only, to the bit: not on how many lanes
    there are, on its index, or on numbers that are not finite in others.

    Args:
        spec: the settings.
        parameters: tensors of shape (lanes, \\*shape), changed in place by ``step``.
    """

    elementwise: ClassVar[bool] = True
    """Whether parameters may be given as one flat tensor (lanes, P): no update looks at a parameter's shape."""

    def __init__(self, spec: Settings, parameters: Sequence[torch.Tensor]) -> None:
        self.spec = spec
        self._parameters = tuple(parameters)
        self._moments = [self.fresh(parameter.detach()) for parameter in parameters]
        self._count = 0
        self._scratch: dict[tuple[str, torch.Size, torch.dtype], torch.Tensor] = {}

    @abstractmethod
    def fresh(self, parameter: torch.Tensor) -> Moments:
        """The moments of ``parameter`` before update 0."""

    @abstractmethod
    def update(
        self,
        count: int,
        parameter: torch.Tensor,
        gradient: torch.Tensor,
        rates: torch.Tensor,
        moments: Moments,
        *,
        momentum: torch.Tensor | None = None,
    ) -> None:
        """One update of one parameter, in place.

        Args:
            count: updates done, with this one: 1 for update 0.
            parameter: shape (lanes, \\*shape).
            gradient: of the same shape; left as it is.
            rates: shape (lanes, 1, ..., 1), with as many axes as ``parameter``, or its shape.
            moments: those of ``parameter``, changed in place.
            momentum: where it is not the settings', (lanes, 1, ..., 1) with as many axes as ``parameter``.
        """

    def scratch(self, name: str, like: torch.Tensor) -> torch.Tensor:
        """A tensor to work in, zeros at first, kept from update to update for all parameters of a shape."""
        key = (name, like.shape, like.dtype)
        if key not in self._scratch:
            self._scratch[key] = torch.zeros_like(like)
        return self._scratch[key]

    @torch.no_grad()
    def step(
        self,
        gradients: Sequence[torch.Tensor],
        rates: torch.Tensor | Sequence[torch.Tensor],
        momentum: torch.Tensor | None = None,
    ) -> None:
        """One update of every lane, without waiting for the device.

        Args:
            gradients: one a parameter, in the same order and of the same shapes; left as they are.
            rates: a rate a lane, shape (lanes,), of the parameters' dtype and device; or one such tensor a parameter,
                or one of its shape.
            momentum: a number a lane where it is not the settings', shape (lanes,).
        """
        self._count += 1
        every = [rates] * len(self._parameters) if isinstance(rates, torch.Tensor) else rates
        for parameter, gradient, moments, own in zip(self._parameters, gradients, self._moments, every, strict=True):
            columns = [1] * (parameter.ndim - 1)
            rate = own.reshape(-1, *columns) if own.ndim == 1 else own
            moved = None if momentum is None else momentum.reshape(-1, *columns)
            self.update(self._count, parameter, gradient, rate, moments, momentum=moved)

    def state(self) -> Moments:
        """All there is: ``"{parameter's index}.{moment's name}"`` -> (lanes, \\*shape), not copied, and ``"count"``."""
        named = {f"{i}.{name}": tensor for i, own in enumerate(self._moments) for name, tensor in own.items()}
        return {**named, COUNT: torch.tensor(self._count)}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from a copy of ``state``.

        Raises:
            InvalidInput: names or shapes are not this optimiser's; nothing is changed.
        """
        ours = self.state()
        if state.keys() != ours.keys():
            differing = ", ".join(sorted(state.keys() ^ ours.keys())[:5])
            raise InvalidInput(f"a state has exactly its optimiser's tensors (differing: {differing})")
        for name, tensor in ours.items():
            if state[name].shape != tensor.shape:
                raise InvalidInput(
                    f"`{name}` of a state must have shape {tuple(tensor.shape)} (got {tuple(state[name].shape)})"
                )
        with torch.no_grad():
            for name, tensor in ours.items():
                tensor.copy_(state[name])
        self._count = int(ours[COUNT])


def power(base: torch.Tensor, exponent: int) -> torch.Tensor:
    """``base ** exponent`` for ``exponent >= 1``, by products alone.

    The last bits of torch's own power depend on where in a tensor a number stands; those of products do not.
    """
    found: torch.Tensor | None = None
    while exponent:
        if exponent & 1:
            found = base if found is None else found * base
        exponent >>= 1
        base = base * base if exponent else base
    assert found is not None
    return found
