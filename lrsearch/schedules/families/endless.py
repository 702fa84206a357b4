"""Families that do not look at the horizon: a longer training only goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ...frozen import Real
from ..formula import Formula
from ..length import Length
from ..schedule import Schedule

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
    EVENTS: ClassVar[tuple[str, ...]] = ("step_size",)
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


class InverseTime(Schedule):
    """``lr = initial_lr / (1 + (u - W) / timescale)``: half of the peak after one ``timescale``, a third after two.

    Agrees with ``keras.optimizers.schedules.InverseTimeDecay`` where ``timescale = decay_steps / decay_rate``; with
    ``timm``'s and PyTorch's names there is none. ``final_factor`` is a lower clamp.
    """

    HELP: ClassVar[str] = "one over the time: half of the peak after timescale, a third after twice that"
    DECAY: ClassVar[Formula] = Formula("timescale / (timescale + v)")
    SEARCH: ClassVar[Mapping[str, Any]] = {"timescale": {"low": "5%", "high": "50%"}}

    family: Literal["inverse_time"] = "inverse_time"
    timescale: Length
    """How long after the warm-up the rate is half of the peak; at least one update."""


class InverseSqrt(Schedule):
    """``lr = initial_lr * sqrt(timescale / (timescale + u - W))``: half of the peak after three times ``timescale``.

    By default ``timescale`` is the warm-up: then ``lr = initial_lr * sqrt(W / u)``, the schedule of the Transformer
    (Vaswani et al., arXiv 1706.03762, "Noam"; the paper's peak is ``(d_model * W) ** -0.5``). Agrees with
    ``transformers.get_inverse_sqrt_schedule(timescale=...)``, and with its default where there is a warm-up.
    ``final_factor`` is a lower clamp.
    """

    HELP: ClassVar[str] = "one over the square root of the time (Noam)"
    DECAY: ClassVar[Formula] = Formula("sqrt(timescale / (timescale + v))")
    SEARCH: ClassVar[Mapping[str, Any]] = InverseTime.SEARCH

    family: Literal["inverse_sqrt"] = "inverse_sqrt"
    timescale: Length = Field(default_factory=lambda data: float(data["warmup"] or data["eval_every"] or 1))
    """The time of which the rate is the inverse root; by default the warm-up, without one an epoch or `eval_every`."""
