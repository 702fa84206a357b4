"""The families: one class each, one line each in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError
from pydantic_core import PydanticCustomError

from ...synonyms import nearest_family
from ...union import UNTAGGED
from ..adaptive_warmup import AdaptiveWarmup
from ..plateau import Plateau
from ..schedule import Schedule
from .annealed import Cosine, Linear, OneCycle, Polynomial, Rex, WarmupStableDecay
from .cycling import CosineRestarts, Cyclic
from .endless import Constant, Exponential, InverseSqrt, InverseTime, Step
from .milestones import MultiStep, Piecewise

FAMILIES: Mapping[str, type[Schedule]] = MappingProxyType(
    {
        "constant": Constant,
        "step": Step,
        "multistep": MultiStep,
        "piecewise": Piecewise,
        "exponential": Exponential,
        "inverse_time": InverseTime,
        "inverse_sqrt": InverseSqrt,
        "cosine": Cosine,
        "linear": Linear,
        "polynomial": Polynomial,
        "rex": Rex,
        "wsd": WarmupStableDecay,
        "one_cycle": OneCycle,
        "cosine_restarts": CosineRestarts,
        "cyclic": Cyclic,
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


def family_class(data: Any) -> type[Schedule]:
    """The class of the family that ``data`` names.

    Raises:
        ValidationError: pydantic's, if ``data`` is no mapping or names no known family.
    """
    family = data.get("family") if isinstance(data, Mapping) else None
    if isinstance(family, str) and family in FAMILIES:
        return FAMILIES[family]
    message = "a schedule is a mapping with a `family`, one of {known} (got {got}){advice}"
    meant = nearest_family(family, FAMILIES) if isinstance(family, str) else None
    advice = f"; did you mean `{meant}`?" if meant else ""
    context = {"known": ", ".join(FAMILIES), "got": repr(family)[:100], "advice": advice}
    error = PydanticCustomError("unknown_family", message, context)
    raise ValidationError.from_exception_data("Schedule", [{"type": error, "loc": ("family",), "input": family}])


__all__ = ["CLOSED_FORMS", "FAMILIES", "AnySchedule", "Constant", "Cosine", "Exponential", "Step", "family_class"]
