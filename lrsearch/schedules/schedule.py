"""The schedule: a function of the update, with a horizon."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from ..errors import InvalidInput
from ..frozen import Frozen, Positive, Real
from .controls import Momentum, Switch, moved_momentum, switch_update, wider
from .formula import FloatArray, Formula
from .groups import HORIZON, Groups
from .length import Length, LengthMark, listed, required_updates_per_epoch, unequal, whole_updates, without_shares
from .warmup import WARMUPS

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR

    from .rescale import Rescaling


History = Sequence[Mapping[str, float | None]]
"""What was measured at the end of each reporting interval so far, by metric; None and NaN: it was not finite."""


class Clock(NamedTuple):
    """A schedule's lengths in updates: horizon H, warm-up W, and U updates a unit of length."""

    horizon: int
    warmup: int
    updates_per_unit: int


class Schedule(Frozen):
    """A learning-rate schedule: warm-up, then a family's decay, over a fixed horizon.

    For update u (0 is the first), with H, W and every length in updates::

        lr(u) = initial_lr * ramp(u / W)                              u <  W
        lr(u) = initial_lr * max(final_factor, decay(u - W, H - W))   W <= u <= H
        lr(u) = lr(H)                                                 u >  H

    ``Schedule.model_validate({"family": "cosine", "initial_lr": 0.1, "epochs": 10})`` makes one of any family.
    A length may be given as a share of the horizon (``"5%"``); it is kept and dumped as a number.
    """

    HELP: ClassVar[str] = ""
    DECAY: ClassVar[Formula]
    """The share of the peak, in ``v`` (updates since the warm-up's end), ``D`` (H - W) and the family's parameters."""
    SHAPES: ClassVar[Mapping[str, Formula]] = MappingProxyType({})
    """Instead of ``DECAY``, the formulas of a family whose parameter ``SHAPED_BY`` chooses among several."""
    SHAPED_BY: ClassVar[str] = ""
    ALIGNED: ClassVar[tuple[str, ...]] = ()
    """The parameters that are lists of one length: item i of one belongs to item i of the others."""
    MONOTONE: ClassVar[bool] = True
    """Whether the rate never rises after the warm-up."""
    METRIC_DRIVEN: ClassVar[bool] = False
    """Whether rates depend on what was measured so far; ``metric_driven.MetricDriven`` has what that brings."""
    EVENTS: ClassVar[tuple[str, ...]] = ()
    """The lengths that something waits for: it happens at their end, and not before."""
    MAY_BE_ZERO: ClassVar[frozenset[str]] = frozenset({"warmup", "freeze", "switch_at"})
    """The lengths that need not last an update."""
    SEARCH: ClassVar[Mapping[str, Any]] = {}
    """What a space searches over where it does not name the family's parameter: declarations as in a spec."""

    family: str
    """The shape of the decay."""
    epochs: Annotated[Positive | None, Field(exclude_if=lambda value: value is None)] = None
    """Total training length in epochs, warm-up included; this or `updates`."""
    updates: Annotated[Positive | None, Field(exclude_if=lambda value: value is None)] = None
    """Total training length in updates, warm-up included; lengths are then in updates too."""
    eval_every: Annotated[Positive | None, Field(exclude_if=lambda value: value is None)] = None
    """Updates between two reports; with `updates` only."""
    initial_lr: Annotated[Real, Field(gt=0)]
    """The highest rate, reached where the warm-up ends."""
    final_factor: Annotated[Real, Field(ge=0, le=1)] = 0.0
    """A share of `initial_lr`: the end value of cosine, a lower clamp elsewhere."""
    warmup: Length = 0.0
    """How long the ramp before the decay lasts."""
    warmup_shape: Literal["linear", "exponential", "cosine"] = "linear"
    """The ramp's shape."""
    warmup_start: Annotated[Real, Field(ge=0, le=1)] = 0.01
    """The share of `initial_lr` at update 0 of a warm-up."""
    momentum_at_peak: Annotated[Momentum | None, Field(exclude_if=lambda value: value is None)] = None
    """The momentum (beta 1 of Adam) at the rate's peak; it moves against the rate. None = the optimiser's own."""
    momentum_at_low: Annotated[Momentum | None, Field(exclude_if=lambda value: value is None)] = None
    """The momentum where the rate is lowest: the warm-up's start, `final_factor`; None = as at the peak."""
    layer_decay: Annotated[Real, Field(gt=0, le=1, exclude_if=lambda value: value == 1)] = 1.0
    """Each depth group's rate is this share of the next one's towards the output; the last has the rate itself."""
    freeze: Annotated[Length, Field(exclude_if=lambda value: value == 0)] = 0.0
    """How long from the start all depth groups but the last have rate 0."""
    switch_to: Annotated[Switch | None, Field(exclude_if=lambda value: value is None)] = None
    """The optimiser that takes over at `switch_at`, fresh, with its own defaults and the first one's weight decay."""
    switch_at: Annotated[Length, Field(exclude_if=lambda value: value == 0)] = 0.0
    """When it takes over: whole reporting intervals, at least one; at the horizon or beyond: never."""
    switch_factor: Annotated[Real, Field(gt=0, exclude_if=lambda value: value == 1)] = 1.0
    """What the rate is multiplied with from `switch_at` on."""
    switch_momentum: Annotated[Momentum, Field(exclude_if=lambda value: value == 0)] = 0.0
    """The second optimiser's momentum (beta 1 of Adam); 0 = its default."""
    groups: Annotated[Groups, Field(exclude_if=lambda value: not value)] = ()
    """Schedules of parameter groups with a rate of their own, by name; all other parameters have this schedule's."""

    @model_validator(mode="before")
    @classmethod
    def _resolve_shares(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        horizon = data.get("epochs") or data.get("updates")
        if not isinstance(horizon, int | float):
            return data
        resolved = dict(data)
        for name in cls.lengths():
            if name not in resolved:
                continue
            try:
                resolved[name] = without_shares(resolved[name], horizon)
            except ValueError as error:
                raise ValueError(f"`{name}`: {error}") from None
        return resolved

    @model_validator(mode="after")
    def _check_horizon(self) -> Self:
        if (self.epochs is None) == (self.updates is None):
            raise ValueError("a horizon is either `epochs`, or `updates` with `eval_every`")
        if (self.updates is None) != (self.eval_every is None):
            raise ValueError("`updates` and `eval_every` go together")
        horizon = self.horizon
        if self.eval_every is not None and self.eval_every > horizon:
            raise ValueError(f"`eval_every <= updates` must hold (got {self.eval_every} > {horizon})")
        if self.warmup >= horizon:
            raise ValueError(f"the warm-up must end before the horizon (got warmup {self.warmup:g} of {horizon})")
        if self.warmup_start == 0 and not WARMUPS[self.warmup_shape].starts_at_zero:
            raise ValueError(f"`warmup_start > 0` must hold for the warm-up shape {self.warmup_shape}")
        for name in self.lengths():
            shortest = min(listed(getattr(self, name)))
            if name not in self.MAY_BE_ZERO and not shortest > 0:
                raise ValueError(f"`{name}` must last at least one update (got {shortest:g})")
        if len({len(getattr(self, name)) for name in self.ALIGNED}) > 1:
            raise ValueError(unequal({name: len(getattr(self, name)) for name in self.ALIGNED}))
        if self.switch_to is not None and self.switch_at == 0:
            raise ValueError(f"`switch_at` says when {self.switch_to} takes over (got none)")
        if self.updates is not None:
            self.clock()
        return self

    if not TYPE_CHECKING:

        @classmethod
        def model_validate(cls, obj: Any, **options: Any) -> Self:
            """As pydantic's; on ``Schedule`` itself the ``family`` in ``obj`` picks the class."""
            if cls is not Schedule or isinstance(obj, Schedule):
                return super().model_validate(obj, **options)
            from .families import family_class

            return family_class(obj).model_validate(obj, **options)

        @classmethod
        def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
            """As ``model_validate``, from JSON text."""
            import json

            return cls.model_validate(json.loads(json_data), **options)

    @classmethod
    @functools.cache
    def lengths(cls) -> tuple[str, ...]:
        """The names of the parameters that are lengths, or lists of lengths."""
        return tuple(
            name
            for name, field in cls.model_fields.items()
            if any(isinstance(mark, LengthMark) for mark in field.metadata)
        )

    @classmethod
    @functools.cache
    def parameters(cls) -> tuple[str, ...]:
        """The names of what a space may vary: every field but family, horizon and groups."""
        return tuple(name for name in cls.model_fields if name not in ("family", "groups", *HORIZON))

    @classmethod
    def rule(cls) -> str:
        """How the family decays, in a line."""
        if not cls.SHAPED_BY:
            return cls.DECAY.text
        return " | ".join(f"{cls.SHAPED_BY} {name}: {formula.text}" for name, formula in cls.SHAPES.items())

    @property
    def horizon(self) -> int:
        """The total length in its own unit."""
        horizon = self.epochs or self.updates
        assert horizon is not None
        return horizon

    def updates_per_interval(self, updates_per_epoch: int | None) -> int:
        """U, the updates between two reports: those of an epoch, or ``eval_every``."""
        if self.eval_every is not None:
            return self.eval_every
        return required_updates_per_epoch(updates_per_epoch)

    def clock(self, updates_per_epoch: int | None = None) -> Clock:
        """The lengths in updates.

        Args:
            updates_per_epoch: optimiser steps an epoch, >= 1; needed (and used) only where the horizon is in epochs.

        Raises:
            InvalidInput: if it is needed and missing, if the warm-up is not shorter than the horizon once both are
                whole updates, or if a step is shorter than one update.
        """
        per_unit = 1 if self.updates is not None else required_updates_per_epoch(updates_per_epoch)
        clock = Clock(self.horizon * per_unit, whole_updates(self.warmup, per_unit), per_unit)
        if clock.warmup >= clock.horizon:
            raise InvalidInput(
                f"the warm-up must end before the horizon (got {clock.warmup} of {clock.horizon} updates)",
                field="warmup",
            )
        for name in self.lengths():
            shortest = min(listed(getattr(self, name)))
            if name not in self.MAY_BE_ZERO and whole_updates(shortest, per_unit) < 1:
                raise InvalidInput(
                    f"`{name}` must last at least one update (got {shortest:g} of {per_unit} updates)", field=name
                )
        for _, own in self.groups:
            own.clock(updates_per_epoch)
        return clock

    @property
    def decay(self) -> Formula:
        """The share of the peak after the warm-up: ``DECAY``, or the one of ``SHAPES`` that ``SHAPED_BY`` names."""
        return self.SHAPES[getattr(self, self.SHAPED_BY)] if self.SHAPED_BY else self.DECAY

    def variables(self, clock: Clock) -> dict[str, Any]:
        """What the decay's formula may name besides ``v``: ``D`` and the parameters, lengths in updates."""
        lengths, per_unit = self.lengths(), clock.updates_per_unit
        values: dict[str, Any] = {"D": clock.horizon - clock.warmup}
        for name in self.parameters():
            value = getattr(self, name)
            if name in lengths:
                whole = tuple(whole_updates(length, per_unit) for length in listed(value))
                values[name] = whole if isinstance(value, tuple) else whole[0]
            elif isinstance(value, int | float | tuple):
                values[name] = value
        return values

    @overload
    def lr(self, update: int, updates_per_epoch: int | None = None, *, history: History = ()) -> float: ...
    @overload
    def lr(self, update: ArrayLike, updates_per_epoch: int | None = None, *, history: History = ()) -> FloatArray: ...
    def lr(
        self, update: ArrayLike, updates_per_epoch: int | None = None, *, history: History = ()
    ) -> float | FloatArray:
        """The rate used for update ``update``.

        Args:
            update: whole number >= 0 or an array of them; 0 is the first update, beyond the horizon the rate stays.
            updates_per_epoch: needed where the horizon is in epochs.
            history: for metric-driven families: the metrics of every reporting interval before those asked for.

        Returns:
            A float for a number, a float64 array of the same shape for an array.

        Raises:
            InvalidInput: for a negative update, for a history that is too short, and as ``clock``.
        """
        clock = self.clock(updates_per_epoch)
        asked = np.asarray(update, dtype=np.float64)
        if asked.size and not asked.min() >= 0:
            raise InvalidInput(f"updates count from 0 (got {asked.min():g})", field="update")
        u = np.atleast_1d(np.minimum(asked, clock.horizon))
        rate = self.initial_lr * self._shares(u, clock, history)
        if self.switch_to is not None:
            rate = np.where(u < switch_update(self, clock), rate, rate * self.switch_factor)
        return rate.reshape(asked.shape) if asked.ndim else float(rate[0])

    def _shares(self, u: FloatArray, clock: Clock, history: History) -> FloatArray:
        """The share of the peak at updates ``u``, in [0, H]."""
        share = np.empty_like(u)
        warm = u < clock.warmup
        share[warm] = self._ramp(u[warm], clock.warmup or 1)
        decay = self.decay(v=u[~warm] - clock.warmup, **self.variables(clock))
        share[~warm] = np.maximum(self.final_factor, decay)
        return share

    def _ramp(self, u: FloatArray, warmup: float) -> FloatArray:
        """The share of the peak at updates ``u`` of a warm-up that lasts ``warmup`` updates."""
        return WARMUPS[self.warmup_shape].formula(u=u, W=float(warmup), s=self.warmup_start)

    def momentum(
        self, update: ArrayLike, updates_per_epoch: int | None = None, *, history: History = ()
    ) -> FloatArray | None:
        """The momentum of updates, which moves against the rate; None where the optimiser's own holds.

        ``m(u) = momentum_at_low + (momentum_at_peak - momentum_at_low) * (r(u) - l(u)) / (1 - l(u))`` with r the share
        of the peak and l its lowest value there: ``warmup_start`` in the warm-up, ``final_factor`` after it. So a
        cosine after a cosine warm-up is ``torch.optim.lr_scheduler.OneCycleLR`` with ``cycle_momentum``.

        Args:
            update: as ``lr``.
            updates_per_epoch: as ``lr``.
            history: as ``lr``.

        Returns:
            float64 of the shape of ``update``.
        """
        if self.momentum_at_peak is None and self.momentum_at_low is None:
            return None
        clock = self.clock(updates_per_epoch)
        u = np.minimum(np.asarray(update, dtype=np.float64), clock.horizon)
        share = self._shares(np.atleast_1d(u), clock, history).reshape(u.shape)
        lowest = np.where(u < clock.warmup, self.warmup_start, self.final_factor)
        return moved_momentum(self, share, lowest)

    @property
    def wider(self) -> tuple[str, ...]:
        """The parameters in force that control more than one rate for all: momentum, depth groups, the optimiser."""
        return wider(self)

    def lr_table(self, updates_per_epoch: int | None = None, *, history: History = ()) -> FloatArray:
        """The rate of every update, shape (H,), float64: ``table[u] == lr(u)``.

        Raises:
            InvalidInput: as ``clock``; for a metric-driven family that has not all its ``history``.
        """
        updates = np.arange(self.clock(updates_per_epoch).horizon)
        return self.lr(updates, updates_per_epoch, history=history)

    def foreseen(self, updates_per_epoch: int | None = None, history: History = ()) -> int:
        """How many reporting intervals from the first have rates that nothing still to be measured can change.

        All of them, unless the family is metric-driven.
        """
        return -(-self.clock(updates_per_epoch).horizon // self.updates_per_interval(updates_per_epoch))

    def improving(self, updates_per_epoch: int | None = None) -> History:
        """A history that suits the schedule, to show its shape by: every interval is better than the one before.

        Empty unless the family is metric-driven.
        """
        return ()

    def stalled(self, updates_per_epoch: int | None = None) -> History:
        """A history in which nothing improves after the first interval; empty unless the family is metric-driven."""
        return ()

    def rescale(self, **to: Unpack[Rescaling]) -> Schedule:
        """Carry the schedule to another horizon (``epochs=`` or ``updates=``) or ``batch_size=``.

        Every length keeps its share of the horizon: over k times as many updates, ``rescaled.lr(k * u) == lr(u)``.
        For another batch size the rate is multiplied by ``batch_size / from_batch_size`` (``rule="linear"``, Goyal et
        al., arXiv 1706.02677) or by its square root (``"sqrt"``, for Adam: Malladi et al., arXiv 2205.10287), and a
        horizon in updates keeps the number of examples. ``Rescaling`` describes the arguments; exports say in words
        what was assumed.

        Raises:
            InvalidInput: both horizons, a batch size without the other, or a broken law of the family.
        """
        from .rescale import rescaled

        return rescaled(self, to).schedule

    def to_torch(
        self,
        optimizer: Optimizer,
        *,
        updates_per_epoch: int | None = None,
        multipliers: list[float] | None = None,
        start_update: int = 0,
    ) -> LambdaLR:
        """A ``torch.optim.lr_scheduler.LambdaLR`` that sets this schedule's rates; step it once an optimiser update.

        It *sets* the rate: the optimiser's own lr is ignored. Parameter groups with different lr need
        ``multipliers=[1.0, 0.1]``, one factor a group; those of ``groups`` are found by their ``"name"``. Stepping
        once an epoch? ``updates_per_epoch=1``.

        Args:
            optimizer: any torch optimiser.
            updates_per_epoch: needed where the horizon is in epochs.
            multipliers: one factor for every parameter group; default 1 for each.
            start_update: the update to continue from.

        Raises:
            InvalidInput: groups with different lr and no multipliers, a wrong number of them, or as ``clock``.
        """
        from ..exports.torch import to_torch

        return to_torch(
            self,
            optimizer,
            updates_per_epoch=updates_per_epoch,
            multipliers=multipliers,
            start_update=start_update,
        )
