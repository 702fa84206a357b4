"""What a task's ``model()`` must be for torch programs to train it. Importable without torch."""

from __future__ import annotations

import copy
from typing import Any

from ..errors import InvalidInput
from .task import Task


def check_module(task: Task, model: Any) -> None:
    """Raise InvalidInput unless ``model`` is a ``torch.nn.Module`` whose weights can be kept and trained.

    All its weights must be there: a lazy layer has none before it has seen inputs. They must be of a type that numpy
    has, as states are stored, and of layers whose gradients the optimisers here take.
    """
    from torch import bfloat16, nn
    from torch.nn.parameter import is_lazy

    if not isinstance(model, nn.Module):
        raise InvalidInput(f"`model()` of task `{task.name}` must return a torch.nn.Module (got {model!r:.100})")
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(tensor):
            raise InvalidInput(
                f"`model()` of task `{task.name}` must return all its weights, and `{name}` is of a lazy layer that "
                "has seen no inputs: give the layer its number of inputs, or call the model once in `model()`"
            )
        if tensor.dtype == bfloat16:
            raise InvalidInput(
                f"weights are kept in float32 or float64, and `{name}` of task `{task.name}` is bfloat16: leave it in "
                "float32 and let the recipe say `train.precision: bfloat16`"
            )
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.sparse:
            raise InvalidInput(
                f"layer `{name}` of task `{task.name}` has sparse gradients, which no optimiser here takes: "
                "leave out `sparse=True`"
            )


def tensors_of(model: Any) -> set[int]:
    """Where a module's weights and buffers lie in memory."""
    return {tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers()) if tensor.numel()}


def copied(task: Task, model: Any) -> Any:
    """A copy of a module.

    Raises:
        InvalidInput: torch cannot copy it, or not its hooks.
    """
    again = f"`model()` of task `{task.name}` returns weights that it returned before, and they cannot be copied"
    if any(weight._backward_hooks or weight._post_accumulate_grad_hooks for weight in model.parameters()):
        raise InvalidInput(f"{again} with their hooks: make the module inside `model()`")
    try:
        return copy.deepcopy(model)
    except Exception as error:
        raise InvalidInput(f"{again} ({error!s:.200}): make the module inside `model()`") from error
