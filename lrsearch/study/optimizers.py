"""Optimisers by name, with torch's arguments and defaults; the rate always comes from the schedule."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ..frozen import Flag, Frozen, Real
from ..union import UNTAGGED

Share = Annotated[Real, Field(ge=0, lt=1)]
NotNegative = Annotated[Real, Field(ge=0)]


class OptimizerSpec(Frozen):
    """An optimiser and its settings; never a learning rate."""

    HELP: ClassVar[str] = ""
    INITIAL_LR: ClassVar[Mapping[str, Any]] = {}
    """The rates a space searches over where neither it nor the task says."""

    name: str
    weight_decay: NotNegative = 0.0

    @classmethod
    def _unknown_hint(cls) -> str:
        return "; the rate belongs to the space, as `initial_lr`"


class Sgd(OptimizerSpec):
    """Stochastic gradient descent, ``torch.optim.SGD``."""

    HELP: ClassVar[str] = "stochastic gradient descent, with momentum if wanted"
    INITIAL_LR: ClassVar[Mapping[str, Any]] = {"low": 1e-3, "high": 1.0, "log": True}

    name: Literal["sgd"] = "sgd"
    momentum: Share = 0.0
    dampening: Share = 0.0
    nesterov: Flag = False

    @model_validator(mode="after")
    def _check_nesterov(self) -> Self:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("`nesterov` needs `momentum > 0` and `dampening = 0`")
        return self


class Adam(OptimizerSpec):
    """``torch.optim.Adam`` (Kingma & Ba, arXiv 1412.6980)."""

    HELP: ClassVar[str] = "adaptive moments; weight decay joins the gradient"
    INITIAL_LR: ClassVar[Mapping[str, Any]] = {"low": 1e-4, "high": 1e-1, "log": True}

    name: Literal["adam"] = "adam"
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Annotated[Real, Field(gt=0)] = 1e-8
    amsgrad: Flag = False


class AdamW(Adam):
    """``torch.optim.AdamW``: Adam with decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101)."""

    HELP: ClassVar[str] = "Adam with decoupled weight decay"

    name: Literal["adamw"] = "adamw"  # type: ignore[assignment]  # narrows the parent's literal
    weight_decay: NotNegative = 0.01


OPTIMIZERS: Mapping[str, type[OptimizerSpec]] = MappingProxyType({"sgd": Sgd, "adam": Adam, "adamw": AdamW})
"""Every optimiser by name."""


def named(value: Any) -> Any:
    """``"sgd"`` is short for ``{"name": "sgd"}``."""
    return {"name": value} if isinstance(value, str) else value


if TYPE_CHECKING:
    AnyOptimizer = OptimizerSpec
else:
    AnyOptimizer = Annotated[
        reduce(or_, OPTIMIZERS.values()),
        Field(discriminator="name"),
        UNTAGGED,
        BeforeValidator(named, json_schema_input_type=dict | str),
    ]
"""An optimiser of any name, as a field of another model."""
