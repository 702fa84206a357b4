"""Optimisers of a model alone, by name: a spec of ``lrsearch.study`` as a ``torch.optim.Optimizer``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from ..study import OptimizerSpec
from .device import FUSED_DEVICES
from .lone_ranger import LoneRanger

OPTIMIZER_CLASSES: Mapping[str, type[torch.optim.Optimizer]] = MappingProxyType(
    {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "adagrad": torch.optim.Adagrad,
        "ranger": LoneRanger,
    }
)
"""The class of every optimiser of ``lrsearch.study.OPTIMIZERS``; a spec's fields are its arguments."""

FUSED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"sgd": FUSED_DEVICES, "adam": FUSED_DEVICES, "adamw": FUSED_DEVICES, "adagrad": ("cpu", "cuda")}
)
"""Where torch has a fused kernel of an optimiser."""


def build_optimizer(spec: OptimizerSpec, parameters: Sequence[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of ``spec``, with torch's fused kernels where the parameters' device has them.

    Its rate is 0 until a program sets it: column 0 of the controls, every update.
    """
    settings = spec.model_dump(exclude={"name"})
    devices = FUSED.get(spec.name, ())
    if all(p.is_floating_point() and p.device.type in devices for p in parameters):
        settings["fused"] = True
    kind: Any = OPTIMIZER_CLASSES[spec.name]
    optimizer: torch.optim.Optimizer = kind(parameters, lr=0.0, **settings)
    return optimizer
