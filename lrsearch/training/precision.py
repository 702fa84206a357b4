"""The recipe's precision: what numbers are kept in, and what a model computes in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial, wraps
from types import MappingProxyType
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from ..errors import InvalidInput

_HALF = (
    *(functional.linear, functional.conv1d, functional.conv2d, functional.conv3d),
    *(functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d),
)
_WHOLE = (functional.batch_norm, functional.instance_norm, functional.group_norm, functional.layer_norm)
REWRITTEN: Mapping[object, torch.dtype] = MappingProxyType(
    {**dict.fromkeys(_HALF, torch.bfloat16), **dict.fromkeys(_WHOLE, torch.float32)}
)
"""Functions that ``vmap`` makes others of before autocast sees them, and what each computes in."""


def stored_dtype(precision: str) -> torch.dtype:
    """What data, weights, gradients and moments are kept in."""
    return torch.float64 if precision == "float64" else torch.float32


def check_precision(precision: str, device: torch.device) -> None:
    """Raise InvalidInput where ``device`` does not know ``precision``."""
    if precision == "bfloat16" and not _knows_bfloat16(device):
        raise InvalidInput(
            f"`train.precision: bfloat16` needs a device that computes in it (got `{device.type}`): take float32, or a "
            "worker on another device"
        )


def in_precision(model: torch.nn.Module, precision: str, device: torch.device) -> torch.nn.Module:
    """``model`` itself, moved to ``device``, so that it computes in ``precision``.

    With bfloat16 its weights stay as they are, and its forward pass runs under ``torch.autocast``: linear layers,
    convolutions and products of matrices in bfloat16, what needs more range or digits in float32. Its outputs are
    float32 again: losses and measures are computed as in any other recipe, and gradients have the weights' type.
    """
    model = model.to(device=device, dtype=torch.float64 if precision == "float64" else None)
    if precision == "bfloat16":
        model.forward = _in_bfloat16(model.forward, device)
    return model


def _in_bfloat16(forward: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    @wraps(forward)
    def computed(*args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            # a weight cast once would be found again after an update has changed it
            stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False))
            if torch._C._functorch.maybe_current_level() is not None:
                stack.enter_context(_CastBeforeVmap(device))
            outputs = forward(*args, **kwargs)
        return tree_map_only(torch.Tensor, _whole, outputs)

    return computed


class _CastBeforeVmap(TorchFunctionMode):
    """Casts the arguments of what is ``REWRITTEN``, as autocast does outside of ``vmap``."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._kind = device.type

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in REWRITTEN and torch.is_autocast_enabled(self._kind):  # a model may turn it off for a part
            args, kwargs = tree_map_only(torch.Tensor, partial(_cast, dtype=REWRITTEN[func]), (args, kwargs))
        return func(*args, **kwargs)


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def _cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _knows_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported())
    return torch.amp.is_autocast_available(device.type)
