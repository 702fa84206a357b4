"""Optimisers by name, with torch's arguments and defaults; the rate always comes from the schedule."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ..frozen import Flag, Frozen, Positive, Real
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


class Rmsprop(OptimizerSpec):
    """``torch.optim.RMSprop`` (Tieleman & Hinton, Coursera lecture 6.5, 2012)."""

    HELP: ClassVar[str] = "steps divided by the gradient's running size, centred and with momentum if wanted"
    INITIAL_LR: ClassVar[Mapping[str, Any]] = {"low": 1e-4, "high": 1e-1, "log": True}

    name: Literal["rmsprop"] = "rmsprop"
    alpha: Share = 0.99
    eps: Annotated[Real, Field(gt=0)] = 1e-8
    centered: Flag = False
    momentum: Share = 0.0


class Adagrad(OptimizerSpec):
    """``torch.optim.Adagrad`` (Duchi et al., JMLR 12, 2011), without ``lr_decay``: decay belongs to the schedule."""

    HELP: ClassVar[str] = "steps divided by the size of all gradients so far"
    INITIAL_LR: ClassVar[Mapping[str, Any]] = {"low": 1e-3, "high": 1.0, "log": True}

    name: Literal["adagrad"] = "adagrad"
    initial_accumulator_value: NotNegative = 0.0
    eps: Annotated[Real, Field(gt=0)] = 1e-10


class Ranger(OptimizerSpec):
    """RAdam, Lookahead and gradient centralisation, as ``Ranger`` of PyPI's ``pytorch-optimizer``.

    RAdam: Liu et al., arXiv 1908.03265; Lookahead: Zhang et al., arXiv 1907.08610; centralisation: Yong et al., arXiv
    2004.01461.
    """

    HELP: ClassVar[str] = "rectified Adam with lookahead and centralised gradients; weight decay is decoupled"
    INITIAL_LR: ClassVar[Mapping[str, Any]] = {"low": 1e-4, "high": 1e-1, "log": True}

    name: Literal["ranger"] = "ranger"
    betas: tuple[Share, Share] = (0.95, 0.999)
    eps: Annotated[Real, Field(gt=0)] = 1e-5
    alpha: Annotated[Real, Field(ge=0, le=1)] = 0.5
    """How far the slow weights move towards the fast ones."""
    k: Positive = 6
    """Updates between two moves of the slow weights."""
    use_gc: Flag = True
    """Whether gradients are centralised."""
    degenerated_to_sgd: Flag = False
    """What the first updates do, while the second moment is too young to be rectified: true steps along the first
    moment; false, the library's default, steps against it, uphill."""

    @model_validator(mode="after")
    def _check_rectified(self) -> Self:
        if self.betas[1] <= 2 / 3 and not self.degenerated_to_sgd:
            raise ValueError(
                "`betas[1] > 2/3` must hold, or no update is ever rectified and all go uphill; or set "
                f"`degenerated_to_sgd` (got betas[1]={self.betas[1]})"
            )
        return self


OPTIMIZERS: Mapping[str, type[OptimizerSpec]] = MappingProxyType(
    {"sgd": Sgd, "adam": Adam, "adamw": AdamW, "rmsprop": Rmsprop, "adagrad": Adagrad, "ranger": Ranger}
)
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
