"""Families that return to the peak: ``final_factor`` x peak is the bottom of every cycle."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ...errors import InvalidInput
from ...frozen import Real
from ..formula import Formula
from ..length import Length, whole_updates
from ..schedule import Clock, Schedule

MAX_CYCLES = 10_000
"""The most cycles of growing length, which are listed one by one."""
PeakDecay = Annotated[Real, Field(gt=0, le=1)]


class CosineRestarts(Schedule):
    """Half a cosine from the peak to the bottom, again and again: SGDR (Loshchilov & Hutter, arXiv 1608.03983).

    Cycle n = 0, 1, ... lasts ``C_n = floor(cycle * cycle_growth ** n + 1/2)`` updates. With r what is left of the
    cycle as a share, f = ``final_factor``::

        lr = initial_lr * (f + (1 - f) * peak_decay ** n * sin(pi r / 2) ** 2)

    A cycle that ends at the horizon ends there: ``lr(H)`` is the bottom. Agrees with
    ``torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(T_0=cycle, T_mult=cycle_growth)``, and with
    ``keras.optimizers.schedules.CosineDecayRestarts(t_mul=cycle_growth, m_mul=peak_decay)`` where cycles are whole
    updates; ``timm`` multiplies the whole peak, not what lies above the bottom, and agrees for f = 0.
    """

    HELP: ClassVar[str] = "half a cosine down to final_factor, then again from the peak (SGDR)"
    SHAPES: ClassVar[Mapping[str, Formula]] = MappingProxyType(
        {
            "even": Formula(
                "n = floor(minimum(v, D - 1) / cycle); left = (n + 1) * cycle - v; "
                "final_factor + (1 - final_factor) * peak_decay ** n * sin(pi * left / (2 * cycle)) ** 2"
            ),
            "growing": Formula(
                "n = passed(cycles, minimum(v, D - 1)) - 1; left = at(cycles, n + 1) - v; "
                "length = at(cycles, n + 1) - at(cycles, n); "
                "final_factor + (1 - final_factor) * peak_decay ** n * sin(pi * left / (2 * length)) ** 2"
            ),
        }
    )
    """The second in ``cycles``: the first update of each cycle and the end of the last, from the warm-up's end."""
    MONOTONE: ClassVar[bool] = False
    SEARCH: ClassVar[Mapping[str, Any]] = {"cycle": {"low": "10%", "high": "50%"}, "cycle_growth": [1, 2]}

    family: Literal["cosine_restarts"] = "cosine_restarts"
    cycle: Length
    """How long the first cycle lasts; at least one update."""
    cycle_growth: Annotated[Real, Field(ge=1, le=100)] = 1.0
    """Each cycle is this many times as long as the one before."""
    peak_decay: PeakDecay = 1.0
    """The height of each cycle above the bottom, as a share of the one before."""

    @classmethod
    def rule(cls) -> str:
        """How the family decays, in a line."""
        return cls.SHAPES["even"].text

    @property
    def decay(self) -> Formula:
        """Counted where all cycles are of one length, looked up where they grow."""
        return self.SHAPES["growing" if self.cycle_growth > 1 else "even"]

    def variables(self, clock: Clock) -> dict[str, Any]:
        """As of all families; ``cycles`` where they grow.

        Raises:
            InvalidInput: there are more than ``MAX_CYCLES`` of them.
        """
        values = super().variables(clock)
        if self.cycle_growth > 1:
            values["cycles"] = self._cycles(values["cycle"], values["D"])
        return values

    def _cycles(self, first: int, end: int) -> tuple[int, ...]:
        starts = [0]
        while starts[-1] < end:
            if len(starts) > MAX_CYCLES:
                raise InvalidInput(
                    f"there are at most {MAX_CYCLES:,} cycles of growing length: begin with a longer `cycle` "
                    f"(got {first} of {end} updates)",
                    field="cycle",
                )
            starts.append(starts[-1] + whole_updates(first * self.cycle_growth ** (len(starts) - 1), 1))
        return tuple(starts)


class Cyclic(Schedule):
    """A triangle between the peak and ``final_factor`` x peak, from the peak on (Smith, arXiv 1506.01186).

    With x in [0, 1) the place in a ``cycle`` and n the number of those done, f = ``final_factor``::

        lr = initial_lr * (f + (1 - f) * height * max(1 - x / (1 - rise), (x - (1 - rise)) / rise))
        height = peak_decay ** (number of bottoms so far)      envelope step
        height = peak_decay ** (n + x)                         envelope exponential

    ``torch.optim.lr_scheduler.CyclicLR(base_lr, max_lr, step_size_up, step_size_down)`` begins at the bottom: that is
    a linear warm-up of ``step_size_up`` from ``warmup_start = base_lr / max_lr``, then ``cycle = step_size_up +
    step_size_down``, ``rise = step_size_up / cycle``, ``final_factor = base_lr / max_lr``. Its ``triangular`` is
    ``peak_decay`` 1, ``triangular2`` is 0.5, and ``exp_range`` is ``peak_decay = gamma ** cycle`` with the envelope
    exponential (where torch counts the power from update 0, and so has decayed before the first peak).
    """

    HELP: ClassVar[str] = "straight down to final_factor and up again, cycle after cycle"
    SHAPES: ClassVar[Mapping[str, Formula]] = MappingProxyType(
        {
            "step": Formula(
                "n = floor(v / cycle); i = v - n * cycle; fall = (1 - rise) * cycle; "
                "final_factor + (1 - final_factor) * peak_decay ** where(i < fall, n, n + 1)"
                " * maximum(1 - i / fall, 1 - (cycle - i) / (rise * cycle))"
            ),
            "exponential": Formula(
                "n = floor(v / cycle); i = v - n * cycle; fall = (1 - rise) * cycle; "
                "final_factor + (1 - final_factor) * peak_decay ** (v / cycle)"
                " * maximum(1 - i / fall, 1 - (cycle - i) / (rise * cycle))"
            ),
        }
    )
    SHAPED_BY: ClassVar[str] = "envelope"
    MONOTONE: ClassVar[bool] = False
    SEARCH: ClassVar[Mapping[str, Any]] = {"cycle": {"low": "10%", "high": "50%"}, "peak_decay": [0.5, 1]}

    family: Literal["cyclic"] = "cyclic"
    cycle: Length
    """How long a cycle lasts, from peak to peak; at least one update."""
    rise: Annotated[Real, Field(ge=0.01, le=0.99)] = 0.5
    """The share of a cycle in which the rate rises."""
    peak_decay: PeakDecay = 1.0
    """The height of each cycle above the bottom, as a share of the one before."""
    envelope: Literal["step", "exponential"] = "step"
    """How the heights decay: once a cycle at its bottom, or at every update."""
