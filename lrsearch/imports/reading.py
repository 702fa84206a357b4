"""What every importer works with: the training that is described, fields of a schedule, and what is not exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..errors import InvalidInput
from ..schedules import HORIZON, Schedule

Fields = dict[str, Any]
"""Fields of a schedule; its horizon, and all lengths, in steps of what is read, under ``updates``."""

HOLDS: Mapping[str, bool] = MappingProxyType(
    {"constant": True, "step": True, "multistep": True, "piecewise": False, "plateau": True}
)
"""Families whose rate can hold for a whole step of the scheduler; piecewise only where nothing lies between."""


@dataclass(frozen=True)
class Training:
    """The training that a foreign schedule belongs to, as far as the caller says.

    Attributes:
        updates: optimiser updates of the whole training.
        eval_every: updates between two reports; only with ``updates``.
        epochs: epochs of the whole training, where the scheduler is stepped once an epoch.
        updates_per_epoch: optimiser updates an epoch, where the source counts in epochs and this matters.
        group: the parameter group to read, where they differ.
    """

    updates: int | None = None
    eval_every: int | None = None
    epochs: int | None = None
    updates_per_epoch: int | None = None
    group: int | None = None

    def __post_init__(self) -> None:
        for name in ("updates", "eval_every", "epochs", "updates_per_epoch"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InvalidInput(f"`{name}` is a whole number >= 1 (got {value!r:.100})", field=name)
        if self.epochs is not None and (self.updates is not None or self.eval_every is not None):
            raise InvalidInput("give `epochs`, or `updates` and `eval_every`, not both", field="epochs")

    @property
    def steps(self) -> int | None:
        """The horizon in steps of the scheduler, if it was given."""
        return self.updates if self.epochs is None else self.epochs

    @property
    def interval(self) -> int:
        """How many units of the horizon a metric-driven scheduler's step lasts."""
        return self.eval_every or 1

    def horizon(self, what: str, own: int | None = None) -> int:
        """The horizon in steps: the one that was given, else the source's ``own``.

        Raises:
            InvalidInput: there is neither.
        """
        found = own if self.steps is None else self.steps
        if found is None:
            raise InvalidInput(
                f"{what} does not say how long the training is: give `updates`, its optimiser updates", field="updates"
            )
        return found

    def only(self, what: str, own: int) -> int:
        """The source's ``own`` horizon, which must be the one that was given, if one was.

        Raises:
            InvalidInput: it is another.
        """
        if self.steps not in (None, own):
            raise inexact(
                f"{what} ends after {own} steps and not after {self.steps}",
                f"give it that length, or leave the horizon out to import its own {own}",
                field="updates" if self.epochs is None else "epochs",
            )
        return own

    def schedule(self, what: str, fields: Fields) -> Schedule:
        """The schedule of ``fields``, over ``updates`` or over ``epochs``.

        Raises:
            InvalidInput: its rates would change inside an epoch; a law of the family is broken.
        """
        told = {name: value for name, value in fields.items() if name not in HORIZON}
        horizon = fields["updates"]
        if self.epochs is None:
            told |= {"updates": horizon, "eval_every": self.eval_every or horizon}
        else:
            holds = HOLDS.get(told["family"], False) or told.get("between") == "step"
            if told.get("warmup") or not holds:
                raise inexact(
                    f"{what} stepped once an epoch holds its rate for an epoch, where a Schedule moves at every update",
                    "step it once an optimiser update, with lengths in updates, and give `updates`",
                    field="epochs",
                )
            told["epochs"] = horizon
        return valid(what, told)


def valid(what: str, fields: Mapping[str, Any]) -> Schedule:
    """The schedule of ``fields``; what breaks a law is answered with ``what`` was read."""
    try:
        return Schedule.read(dict(fields))
    except InvalidInput as error:
        raise InvalidInput(f"{what} is no Schedule of family {fields['family']}: {error}", error.faults) from None


def inexact(what: str, instead: str, *, field: str = "source") -> InvalidInput:
    """The error for ``what`` is read and no schedule says exactly, with what to do ``instead``."""
    return InvalidInput(f"not exact as a Schedule: {what}; {instead}", field=field)


def whole(what: str, value: float, *, least: int = 1) -> int:
    """``value`` as a whole number of steps.

    Raises:
        InvalidInput: it lies between two, or below ``least``.
    """
    number = round(value)
    if abs(value - number) > 1e-9 * max(1, number) or number < least:
        raise inexact(
            f"{what} is {value:g} steps", f"every length of a Schedule is a whole number of updates, here >= {least}"
        )
    return number


def shifted(what: str, fields: Fields, by: int) -> Fields:
    """``fields`` with every change of the rate ``by`` steps later; earlier where it is negative.

    A warm-up that runs beside a decay has used up some of the decay's clock; a plateau before it delays it.

    Raises:
        InvalidInput: the family's shape moves all the time, or a change would come before the first step.
    """
    family, horizon = fields["family"], fields["updates"]
    if family == "constant":
        return fields
    if family == "step":
        size = fields["step_size"]
        changes = list(range(size, horizon + 1, size))
        family, fields = "multistep", {name: value for name, value in fields.items() if name != "step_size"}
    elif family == "multistep" or fields.get("between") == "step":
        changes = list(fields["milestones"])
    else:
        raise inexact(
            f"{what} begins while the warm-up rises, or after a plateau, and moves at every step",
            "let its clock start where the warm-up ends: SequentialLR([warm-up, decay], milestones=[its length])",
        )
    kept = [later for change in changes if (later := change + by) <= horizon]
    if kept and kept[0] < 1:
        raise inexact(
            f"{what} lowers the rate at step {changes[0]}, before the warm-up of {-by} steps has ended",
            "let the first change come after the warm-up",
        )
    if not kept:
        return {"family": "constant", "initial_lr": fields["initial_lr"], "updates": horizon}
    moved = fields | {"family": family, "milestones": kept}
    return moved | ({"factors": fields["factors"][: len(kept)]} if "factors" in fields else {})


@dataclass(frozen=True)
class Importer:
    """One framework whose schedules can be read.

    Attributes:
        name: what it is called.
        help: what it reads, in one line.
        read: a schedule of its object or config.
    """

    name: str
    help: str
    read: Callable[[Any, Training], Schedule]
