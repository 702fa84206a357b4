"""What a space lets schedules control beyond the rate must suit the recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import Fault, InvalidInput
from ..study import Fixed, Range, StudySpec, TaskOffer

MOVED = ("momentum_at_peak", "momentum_at_low")


def check_controls(spec: StudySpec, offer: TaskOffer | None) -> None:
    """Raise InvalidInput where a completed spec moves what its optimisers or its task do not have."""
    if spec.train is None or spec.train.optimizer is None:
        return
    faults = [*_momentum_faults(spec), *_switch_faults(spec, offer)]
    if faults:
        raise InvalidInput("; ".join(map(str, faults)), faults)


def _momentum_faults(spec: StudySpec) -> Iterator[Fault]:
    assert spec.train is not None
    optimizer = spec.train.optimizer
    if getattr(optimizer, "betas", None) or getattr(optimizer, "momentum", 0):
        return
    for name in MOVED:
        if any(value is not None for value in declared(spec, name)):
            assert optimizer is not None
            yield Fault(
                f"space.{name}",
                f"{optimizer.name} has no momentum here to move: give it `momentum`, or take adam, adamw or ranger",
            )


def _switch_faults(spec: StudySpec, offer: TaskOffer | None) -> Iterator[Fault]:
    targets = [value for value in declared(spec, "switch_to") if value is not None]
    if targets and 0 in (declared(spec, "switch_at") or [0]):
        yield Fault("space.switch_at", f"say when {targets[0]} takes over; the horizon means never (got 0)")
    if offer is not None and offer.optimizers is not None:
        for name in targets:
            if name not in offer.optimizers:
                known = ", ".join(offer.optimizers)
                yield Fault("space.switch_to", f"task `{offer.name}` is trained with {known} only (got {name})")


def declared(spec: StudySpec, name: str) -> list[Any]:
    """The values of a declaration that its laws are decided by: all choices, or the ends of a range."""
    declaration = spec.space.declarations.get(name)
    if isinstance(declaration, Range):
        return [declaration.low, declaration.high]
    if isinstance(declaration, Fixed):
        return [declaration.value]
    if isinstance(declaration, tuple):
        return list(declaration)
    return [] if name not in spec.space.declarations else [declaration]
