"""What a task says of a batch: its loss and its measures, checked, for lone and fused programs alike."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from ..errors import InvalidInput
from ..tasks.task import Task

TAKEN: Mapping[str, str] = MappingProxyType({"loss": "train_loss and val_loss", "grad_norm": "grad_norm"})
"""Names that no measure may have: training measures these itself, and reports them so."""


def batch_loss(task: Task, outputs: Any, targets: torch.Tensor) -> torch.Tensor:
    """``task.loss(outputs, targets)``, of shape ().

    Raises:
        InvalidInput: it is no tensor of one number.
    """
    loss: Any = task.loss(outputs, targets)
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
        raise InvalidInput(f"`loss()` of task `{task.name}` must return a tensor of one number, a mean (got {got})")
    return loss if loss.ndim == 0 else loss.reshape(())


@torch.no_grad()
def measured_sums(task: Task, outputs: Any, targets: torch.Tensor, n_examples: int) -> dict[str, torch.Tensor]:
    """The sums over a batch's examples of all that ``task.measure`` returns, shape () each.

    Raises:
        InvalidInput: a measure is neither one number nor has an entry for every example, or its name is ``TAKEN``.
    """
    detached = outputs.detach() if isinstance(outputs, torch.Tensor) else _detached(outputs)
    measures: Any = task.measure(detached, targets)
    if not isinstance(measures, Mapping):
        raise InvalidInput(
            f"`measure()` of task `{task.name}` must return a dict of tensors by name (got {type(measures).__name__})"
        )
    for name in sorted(TAKEN.keys() & measures.keys()):
        raise InvalidInput(
            f"`measure()` of task `{task.name}` must not return `{name}`: training itself reports {TAKEN[name]}; "
            "leave it out, or give another measure another name"
        )
    return {name: _sum(task, name, value, n_examples) for name, value in measures.items()}


def _detached(outputs: Any) -> Any:
    """Outputs in a tuple or a dict, say, without what autograd knows of them."""
    return tree_map_only(torch.Tensor, torch.Tensor.detach, outputs)


def _sum(task: Task, name: str, value: Any, n_examples: int) -> torch.Tensor:
    given = value if isinstance(value, torch.Tensor) else torch.as_tensor(value, dtype=torch.float64)
    if given.ndim == 0:
        return given * n_examples
    if len(given) != n_examples:
        raise InvalidInput(
            f"`measure()` of task `{task.name}` must give one value for each of the {n_examples} examples, or their "
            f"mean as a scalar (got shape {tuple(given.shape)} for `{name}`)"
        )
    if given.ndim == 1:
        return given.sum()
    return (given if given.is_floating_point() else given.float()).flatten(1).mean(dim=1).sum()
