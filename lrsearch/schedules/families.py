"""The families: one class each, one line each in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ..frozen import Real
from ..union import UNTAGGED
from .adaptive_warmup import AdaptiveWarmup
from .formula import Formula
from .length import Length
from .plateau import Plateau
from .schedule import Schedule

DecayRate = Annotated[Real, Field(gt=0, le=1)]
"""The factor of one decay step, in (0, 1]."""


class Constant(Schedule):
    """``lr = initial_lr`` after the warm-up. Agrees with ``torch.optim.lr_scheduler.ConstantLR(factor=1)``."""

    HELP: ClassVar[str] = "the same rate throughout"
    DECAY: ClassVar[Formula] = Formula("1")

    family: Literal["constant"] = "constant"


class Step(Schedule):
    """``lr = initial_lr * decay_rate ** floor((u - W) / step_size)``.

    Agrees with ``torch.optim.lr_scheduler.StepLR(gamma=decay_rate)``.
    """

    HELP: ClassVar[str] = "multiplied by decay_rate every step_size"
    DECAY: ClassVar[Formula] = Formula("decay_rate ** floor(v / step_size)")
    SEARCH: ClassVar[Mapping[str, Any]] = {
        "decay_rate": {"low": 0.1, "high": 0.7, "num": 4},
        "step_size": {"low": "10%", "high": "50%"},
    }

    family: Literal["step"] = "step"
    decay_rate: DecayRate
    """The factor of every step."""
    step_size: Length
    """The length of a step; at least one update."""


class Exponential(Schedule):
    """``lr = initial_lr * decay_rate ** ((u - W) / step_size)``: a smooth decay, ``decay_rate`` a ``step_size``.

    ``step_size`` is one epoch (or ``eval_every``) unless told. Stepped once an epoch it agrees with
    ``torch.optim.lr_scheduler.ExponentialLR(gamma=decay_rate)``.
    """

    HELP: ClassVar[str] = "multiplied smoothly by decay_rate every step_size (an epoch)"
    DECAY: ClassVar[Formula] = Formula("decay_rate ** (v / step_size)")
    SEARCH: ClassVar[Mapping[str, Any]] = {"decay_rate": {"low": 0.5, "high": 0.99}}

    family: Literal["exponential"] = "exponential"
    decay_rate: DecayRate
    """The factor of every `step_size`."""
    step_size: Length = Field(default_factory=lambda data: float(data["eval_every"] or 1))
    """How long it takes to decay by `decay_rate`; by default one epoch, or `eval_every`."""


class Cosine(Schedule):
    """``lr = initial_lr * (f + (1 - f) * sin(pi (H - u) / (2 (H - W))) ** 2)``, f = ``final_factor``.

    Half a cosine from the peak to ``final_factor`` x peak (Loshchilov & Hutter, arXiv 1608.03983, without restarts),
    written with the squared sine, which keeps its digits near 0. Agrees with
    ``torch.optim.lr_scheduler.CosineAnnealingLR(eta_min=final_factor * initial_lr)``.
    """

    HELP: ClassVar[str] = "half a cosine down to final_factor"
    DECAY: ClassVar[Formula] = Formula("final_factor + (1 - final_factor) * sin(pi * (D - v) / (2 * D)) ** 2")

    family: Literal["cosine"] = "cosine"


FAMILIES: Mapping[str, type[Schedule]] = MappingProxyType(
    {
        "constant": Constant,
        "step": Step,
        "exponential": Exponential,
        "cosine": Cosine,
        "plateau": Plateau,
        "adaptive_warmup": AdaptiveWarmup,
    }
)
"""Every family by name."""
CLOSED_FORMS: Mapping[str, type[Schedule]] = MappingProxyType(
    {name: family for name, family in FAMILIES.items() if not family.METRIC_DRIVEN}
)
"""The families whose rates are functions of the update alone."""

if TYPE_CHECKING:
    AnySchedule = Schedule
else:
    AnySchedule = Annotated[reduce(or_, FAMILIES.values()), Field(discriminator="family"), UNTAGGED]
"""A schedule of any family, as a field of another model."""
