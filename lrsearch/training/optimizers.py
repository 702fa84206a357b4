"""Optimisers by name: a spec of ``lrsearch.study`` as a ``torch.optim.Optimizer``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch

from ..study import OptimizerSpec
from .device import FUSED_DEVICES

OPTIMIZER_CLASSES: Mapping[str, type[torch.optim.Optimizer]] = MappingProxyType(
    {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
)
"""torch's class of every optimiser of ``lrsearch.study.OPTIMIZERS``; a spec's fields are its arguments."""


def build_optimizer(spec: OptimizerSpec, parameters: Sequence[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of ``spec``, with torch's fused kernels where the parameters' device has them.

    Its rate is 0 until a program sets it: column 0 of the controls, every update.
    """
    settings = spec.model_dump(exclude={"name"})
    fused = all(p.is_floating_point() and p.device.type in FUSED_DEVICES for p in parameters)
    kind = OPTIMIZER_CLASSES[spec.name]
    return kind(parameters, lr=0.0, fused=fused or None, **settings)  # type: ignore[call-arg]  # each class has fused
