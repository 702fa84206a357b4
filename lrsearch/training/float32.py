"""What torch may make of float32: its products in fewer bits, where the caller of a process has allowed that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

Place = tuple[str, str]
"""A backend and what it computes; a setting of ``none`` is that of ``all``, and this that of ``generic``."""

KINDS = ("all", "matmul", "conv", "rnn")
ON_PROCESSORS: tuple[Place, ...] = (("generic", "all"), *(("mkldnn", kind) for kind in KINDS))
ON_GPUS: tuple[Place, ...] = (*ON_PROCESSORS, *(("cuda", kind) for kind in KINDS))
"""Every setting before those that fall back on it."""


@contextmanager
def whole_float32(device: torch.device) -> Iterator[None]:
    """Within the block torch computes float32 in float32 on ``device``; afterwards the caller's settings are theirs.

    ``torch.backends.*.fp32_precision`` decide. The older ``torch.set_float32_matmul_precision`` and ``allow_tf32``
    write into them, are numbers beside them too, and cannot be read where the two disagree. They are about GPUs: on a
    processor they stay as they are.
    """
    on_gpu = device.type == "cuda"
    with ExitStack() as kept:
        for place in ON_GPUS if on_gpu else ON_PROCESSORS:
            kept.callback(torch._C._set_fp32_precision_setter, *place, _replaced(place))
        if on_gpu:
            kept.callback(_set_older, *_older_replaced())
        yield


def _replaced(place: Place) -> str:
    """A setting as it was made; now it is nobody's. Those that it falls back on must be nobody's before."""
    precision: str = torch._C._get_fp32_precision_getter(*place)
    torch._C._set_fp32_precision_setter(*place, "none")
    return precision


def _older_replaced() -> tuple[str, bool]:
    """The older settings as they were; now they say float32, as the newer ones do before and afterwards."""
    products = torch.get_float32_matmul_precision()
    for kind in ("conv", "rnn"):
        torch._C._set_fp32_precision_setter("cuda", kind, "tf32")
    try:
        convolutions = bool(torch._C._get_cudnn_allow_tf32())
    except RuntimeError:  # it differs from these
        convolutions = False
    _set_older("highest", False)
    for kind in ("matmul", "conv", "rnn"):
        torch._C._set_fp32_precision_setter("cuda", kind, "none")
    torch._C._set_fp32_precision_setter("mkldnn", "matmul", "none")
    return products, convolutions


def _set_older(products: str, convolutions: bool) -> None:
    torch.set_float32_matmul_precision(products)
    torch._C._set_cudnn_allow_tf32(convolutions)
