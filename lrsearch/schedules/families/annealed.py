"""Families that end at the horizon: ``final_factor`` x peak is the rate there."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ...frozen import Real
from ..formula import Formula
from ..length import Length, share_of
from ..schedule import Clock, Schedule

COSINE = Formula("final_factor + (1 - final_factor) * sin(pi * (D - v) / (2 * D)) ** 2")
LINEAR = Formula("final_factor + (1 - final_factor) * ((D - v) / D)")


def _share_of_horizon(share: str) -> Any:
    return Field(default_factory=lambda data: share_of(share, data["epochs"] or data["updates"]))


class Cosine(Schedule):
    """``lr = initial_lr * (f + (1 - f) * sin(pi (H - u) / (2 (H - W))) ** 2)``, f = ``final_factor``.

    Half a cosine from the peak to ``final_factor`` x peak (Loshchilov & Hutter, arXiv 1608.03983, without restarts),
    written with the squared sine, which keeps its digits near 0. Agrees with
    ``torch.optim.lr_scheduler.CosineAnnealingLR(eta_min=final_factor * initial_lr)``.
    """

    HELP: ClassVar[str] = "half a cosine down to final_factor"
    DECAY: ClassVar[Formula] = COSINE

    family: Literal["cosine"] = "cosine"


class Linear(Schedule):
    """``lr = initial_lr * (f + (1 - f) * (H - u) / (H - W))``, f = ``final_factor``; with f = 0 "linear to zero".

    Defazio et al. (arXiv 2310.07831) find it the worst-case optimum, Bergsma et al. (arXiv 2502.15938) the best for
    language models. Agrees with ``torch.optim.lr_scheduler.LinearLR(1, final_factor)``, ``optax.linear_schedule`` and
    ``transformers``' ``linear``.
    """

    HELP: ClassVar[str] = "a straight line down to final_factor"
    DECAY: ClassVar[Formula] = LINEAR

    family: Literal["linear"] = "linear"


class Polynomial(Schedule):
    """``lr = initial_lr * (f + (1 - f) * ((H - u) / (H - W)) ** power)``, f = ``final_factor``.

    Agrees with ``torch.optim.lr_scheduler.PolynomialLR``, ``optax.polynomial_schedule``, ``transformers``'
    ``polynomial`` and ``keras.optimizers.schedules.PolynomialDecay``, which call the end rate ``lr_end`` or
    ``end_learning_rate``; ``timm`` calls the power ``decay_rate``.
    """

    HELP: ClassVar[str] = "what is left of the training, to a power, down to final_factor"
    DECAY: ClassVar[Formula] = Formula("final_factor + (1 - final_factor) * ((D - v) / D) ** power")
    SEARCH: ClassVar[Mapping[str, Any]] = {"power": {"low": 0.5, "high": 3}}

    family: Literal["polynomial"] = "polynomial"
    power: Annotated[Real, Field(ge=0.01, le=100)]
    """1 is a straight line; below, the rate stays high for longer; above, it falls sooner."""


class Rex(Schedule):
    """``lr = initial_lr * (f + (1 - f) * r / (1/2 + r/2))`` with ``r = (H - u) / (H - W)``, f = ``final_factor``.

    Between a line and a step at the end: "reflected exponential" (Chen et al., arXiv 2107.04197, equation 3, whose
    ``final_factor`` is 0).
    """

    HELP: ClassVar[str] = "falls slowly first and fast at the end, down to final_factor (reflected exponential)"
    DECAY: ClassVar[Formula] = Formula("final_factor + (1 - final_factor) * 2 * (D - v) / (D + (D - v))")

    family: Literal["rex"] = "rex"


class WarmupStableDecay(Schedule):
    """``lr = initial_lr`` until ``decay_length`` before the horizon, then down to ``final_factor`` x peak.

    With r = (H - u) / decay_length, f = ``final_factor``, the last part is ``initial_lr * (f + (1 - f) * shape(r))``::

        linear   r        cosine   sin(pi r / 2) ** 2        1-sqrt   1 - sqrt(1 - r)

    The trapezoid of Zhai et al. (arXiv 2106.04560) and MiniCPM (arXiv 2404.06395); 1-sqrt and lengths of 20 % after
    Hägele et al. (arXiv 2405.18392). Trials that differ in how they end share all that comes before. Agrees with
    ``transformers.get_wsd_schedule`` (``decay_type`` = ``decay_shape``, ``min_lr_ratio`` = ``final_factor``) and, as
    cosine, with ``fastai``'s flat-cos. A decay longer than what follows the warm-up is all of it.
    """

    HELP: ClassVar[str] = "the peak until decay_length before the end, then down to final_factor (trapezoid)"
    SHAPES: ClassVar[Mapping[str, Formula]] = MappingProxyType(
        {
            "linear": Formula(
                "left = minimum(D - v, decay_length); final_factor + (1 - final_factor) * (left / decay_length)"
            ),
            "cosine": Formula(
                "left = minimum(D - v, decay_length); "
                "final_factor + (1 - final_factor) * sin(pi * left / (2 * decay_length)) ** 2"
            ),
            "1-sqrt": Formula(
                "left = minimum(D - v, decay_length); "
                "final_factor + (1 - final_factor) * (1 - sqrt((decay_length - left) / decay_length))"
            ),
        }
    )
    SHAPED_BY: ClassVar[str] = "decay_shape"
    MAY_BE_ZERO: ClassVar[frozenset[str]] = Schedule.MAY_BE_ZERO | {"decay_length"}
    SEARCH: ClassVar[Mapping[str, Any]] = {
        "decay_length": ["10%", "20%", "40%", "60%"],
        "decay_shape": ["linear", "1-sqrt"],
    }

    family: Literal["wsd"] = "wsd"
    decay_length: Length = _share_of_horizon("20%")
    """How long the decay at the end lasts; by default 20 % of the horizon. Less than one update: one."""
    decay_shape: Literal["linear", "cosine", "1-sqrt"] = "linear"
    """The shape of the decay at the end."""

    def variables(self, clock: Clock) -> dict[str, Any]:
        """As of all families; the decay at the end lasts from one update to all that follow the warm-up."""
        values = super().variables(clock)
        return {**values, "decay_length": max(1, min(values["decay_length"], values["D"]))}


class OneCycle(Schedule):
    """Up by the warm-up, down to ``final_factor`` x peak: Smith's one-cycle policy (arXiv 1708.07120) in fastai's form.

    The way up *is* the warm-up, with other defaults: 30 % of the horizon, cosine, from 1/25 of the peak. The way down
    is that of ``cosine`` or ``linear``, to 4e-6 of the peak. Agrees with ``torch.optim.lr_scheduler.OneCycleLR`` where
    ``final_factor = 1 / (div_factor * final_div_factor)``, ``warmup_start = 1 / div_factor`` and, as torch counts to
    the last update, ``H = total_steps - 1`` and ``W = pct_start * total_steps - 1``. Its ``three_phase`` is a warm-up
    before ``piecewise``.
    """

    HELP: ClassVar[str] = "up for the first part of the training, then down to nearly nothing"
    SHAPES: ClassVar[Mapping[str, Formula]] = MappingProxyType({"cosine": COSINE, "linear": LINEAR})
    SHAPED_BY: ClassVar[str] = "decay_shape"
    SEARCH: ClassVar[Mapping[str, Any]] = {"warmup": ["10%", "20%", "30%", "45%"]}

    family: Literal["one_cycle"] = "one_cycle"
    final_factor: Annotated[Real, Field(ge=0, le=1)] = 4e-6
    """A share of `initial_lr`: the rate at the horizon."""
    warmup: Length = _share_of_horizon("30%")
    """How long the way up lasts; by default 30 % of the horizon."""
    warmup_shape: Literal["linear", "exponential", "cosine"] = "cosine"
    """The shape of the way up."""
    warmup_start: Annotated[Real, Field(ge=0, le=1)] = 0.04
    """The share of `initial_lr` at update 0."""
    decay_shape: Literal["cosine", "linear"] = "cosine"
    """The shape of the way down."""
