"""Families that change at listed times, each counted from the warm-up's end."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ...frozen import Real
from ..formula import Formula
from ..length import IsList, Milestones
from ..schedule import Clock, Schedule
from .endless import DecayRate

Factor = Annotated[Real, Field(ge=0, le=1)]


class MultiStep(Schedule):
    """``lr = initial_lr * decay_rate ** n``, n the number of ``milestones`` that are at most ``u - W``.

    Agrees with ``torch.optim.lr_scheduler.MultiStepLR(gamma=decay_rate)`` and, without a warm-up, with ``optax``'s
    ``piecewise_constant_schedule``. ``final_factor`` is a lower clamp.
    """

    HELP: ClassVar[str] = "multiplied by decay_rate at every one of the milestones"
    DECAY: ClassVar[Formula] = Formula("decay_rate ** passed(milestones, v)")
    EVENTS: ClassVar[tuple[str, ...]] = ("milestones",)
    SEARCH: ClassVar[Mapping[str, Any]] = {
        "decay_rate": {"low": 0.1, "high": 0.7, "num": 4},
        "milestones": [["30%", "60%", "80%"], ["50%", "75%"], ["60%", "80%"], ["50%"], ["80%"]],
    }

    family: Literal["multistep"] = "multistep"
    decay_rate: DecayRate
    """The factor of every milestone."""
    milestones: Milestones
    """When the rate changes, after the warm-up: rising lengths. In a space `{value: [...]}`, or a list of lists."""


class Piecewise(Schedule):
    """``lr = initial_lr * factors[i]`` from ``u - W = milestones[i]`` on, or a straight line from each to the next.

    The curve begins at the peak, ``(0, 1)``; after the last milestone it keeps the last factor. With ``between: step``
    it agrees with ``keras.optimizers.schedules.PiecewiseConstantDecay`` (whose values are rates, and whose boundaries
    are the last updates of a piece, not the first of the next: one less than ours); with ``linear`` with
    ``optax.piecewise_interpolate_schedule("linear")`` (whose scales multiply each other). ``final_factor`` is a lower
    clamp.
    """

    HELP: ClassVar[str] = "the factors at the milestones; a straight line or a step between them"
    SHAPES: ClassVar[Mapping[str, Formula]] = MappingProxyType(
        {
            "linear": Formula(
                "n = passed(knots, v) - 1; a = at(shares, n); "
                "a + (at(shares, n + 1) - a) * ((v - at(knots, n)) / (at(knots, n + 1) - at(knots, n)))"
            ),
            "step": Formula("at(shares, passed(knots, v) - 1)"),
        }
    )
    """In ``knots`` and ``shares``: the milestones and factors, with the beginning and something beyond the horizon."""
    SHAPED_BY: ClassVar[str] = "between"
    MONOTONE: ClassVar[bool] = False
    EVENTS: ClassVar[tuple[str, ...]] = ("milestones",)
    ALIGNED: ClassVar[tuple[str, ...]] = ("milestones", "factors")
    SEARCH: ClassVar[Mapping[str, Any]] = {
        "milestones": [["30%", "60%", "100%"], ["10%", "50%", "100%"], ["50%", "80%", "100%"]],
        "factors": [[0.3, 0.1, 0], [0.5, 0.25, 0], [1, 0.1, 0], [0.1, 0.1, 0.01]],
    }

    family: Literal["piecewise"] = "piecewise"
    milestones: Milestones
    """When the factors hold, after the warm-up: rising lengths. In a space `{value: [...]}`, or a list of lists."""
    factors: Annotated[tuple[Factor, ...], Field(min_length=1), IsList]
    """The share of `initial_lr` at each milestone, in [0, 1]: as many as there are milestones."""
    between: Literal["linear", "step"] = "linear"
    """What happens between two milestones: a straight line, or the earlier one's factor until the later one."""

    @classmethod
    def rule(cls) -> str:
        """How the family decays, in a line."""
        return "linear between (0, 1), (milestones[i], factors[i]); or stepwise; then the last factor"

    def variables(self, clock: Clock) -> dict[str, Any]:
        """As of all families, and ``knots`` and ``shares``."""
        values = super().variables(clock)
        milestones = values["milestones"]
        beyond = max(milestones[-1], values["D"]) + 1
        return {**values, "knots": (0, *milestones, beyond), "shares": (1.0, *self.factors, self.factors[-1])}
