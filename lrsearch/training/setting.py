"""What every torch program of a recipe and seed needs, whatever trains its lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch

from ..errors import InvalidInput
from ..study import TrainSpec
from .batches import Order, Placed
from .device import chosen_device
from .precision import check_precision, stored_dtype
from .workload import Workload


@dataclass(frozen=True, eq=False)
class Setting:
    """A recipe's device, its data there, and the order of its batches."""

    device: torch.device
    data: Placed
    order: Order

    @classmethod
    def of(cls, workload: Workload, train: TrainSpec, seed: int, device: str | None) -> Self:
        """Place the data, once a workload.

        Raises:
            InvalidInput: the device does not know the precision; the options change the number of training examples.
        """
        chosen = chosen_device(device, train.precision)
        check_precision(train.precision, chosen)
        place = (chosen, stored_dtype(train.precision))
        data = workload.prepared(place, lambda: Placed.of(workload.data, *place))
        n_examples = len(data.train[0])
        if n_examples != workload.n_train:
            raise InvalidInput(
                "options must not change the number of training examples, which schedules are counted by: task "
                f"`{workload.task.name}` announces {workload.n_train} (got {n_examples})"
            )
        assert train.batch_size is not None
        batch_size = workload.n_train if train.batch_size == "full" else train.batch_size
        return cls(chosen, data, Order(workload.n_train, batch_size, seed))
