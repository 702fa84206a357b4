"""Which examples each update trains on, and a task's data as tensors on the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import InvalidInput
from ..tasks.draw import order
from ..tasks.task import Data, as_array

EVALUATED_AT_ONCE = 1000
"""Examples a forward pass without gradients; part of the numerics."""

Tensors = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Placed:
    """A task's data on a device, floating-point numbers in the recipe's precision."""

    train: Tensors
    val: Tensors
    test: Tensors | None

    @classmethod
    def of(cls, data: Data, device: torch.device, dtype: torch.dtype) -> Placed:
        """Copy ``data`` to ``device``.

        Raises:
            InvalidInput: it holds something else than numbers.
        """

        def placed(values: object, what: str) -> torch.Tensor:
            tensor = values if isinstance(values, torch.Tensor) else torch.tensor(_numbers(values, what))
            return tensor.detach().to(device, dtype if tensor.is_floating_point() else tensor.dtype)

        parts = {
            part: (placed(pair[0], f"inputs of `{part}`"), placed(pair[1], f"targets of `{part}`"))
            for part, pair in data.parts().items()
        }
        return cls(parts["train"], parts["val"], parts.get("test"))


def _numbers(values: object, what: str) -> np.ndarray:
    """An array of a type that torch computes with."""
    array = as_array(values)
    if array.dtype.kind not in "biufc":
        raise InvalidInput(f"`data()` must return numbers (got {array.dtype} for the {what})")
    return array.astype(np.int64) if array.dtype.kind == "u" and array.dtype.itemsize > 1 else array


class Order:
    """The batches of a training, a function of the training seed: pass p over the data is shuffled by (seed, p).

    Intervals need not end where passes do: update u is number ``u % U`` of pass ``u // U``, U = ceil(N / batch). The
    last batch of a pass is as small as it comes out.
    """

    def __init__(self, n_examples: int, batch_size: int, seed: int) -> None:
        self.n_examples = n_examples
        self.batch_size = batch_size
        self.seed = seed
        self.updates_per_pass = -(-n_examples // batch_size)
        self._pass: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))

    def batches(self, first: int, end: int, device: torch.device) -> Iterator[torch.Tensor]:
        """The examples of updates ``first`` to ``end - 1``, an index tensor each."""
        update = first
        while update < end:
            number, position = divmod(update, self.updates_per_pass)
            upto = min(end - update + position, self.updates_per_pass)
            index = self._shuffled(number)[position * self.batch_size : upto * self.batch_size]
            yield from torch.split(torch.from_numpy(index).to(device), self.batch_size)
            update += upto - position

    def _shuffled(self, number: int) -> np.ndarray:
        if self._pass[0] != number:
            self._pass = (number, order(self.n_examples, self.seed, number))
        return self._pass[1]
