"""Optimisers over stacked tensors: a parameter holds all lanes along its first axis, every lane has its own rate."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .adagrad import StackedAdagrad
from .adam import StackedAdam, StackedAdamW
from .optimizer import StackedOptimizer
from .ranger import StackedRanger
from .rmsprop import StackedRmsprop
from .sgd import StackedSgd

STACKED: Mapping[str, type[StackedOptimizer[Any]]] = MappingProxyType(
    {
        "sgd": StackedSgd,
        "adam": StackedAdam,
        "adamw": StackedAdamW,
        "rmsprop": StackedRmsprop,
        "adagrad": StackedAdagrad,
        "ranger": StackedRanger,
    }
)
"""The optimisers by ``OptimizerSpec.name``."""

__all__ = ["STACKED", "StackedOptimizer", "StackedRanger"]
