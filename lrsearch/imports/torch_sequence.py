"""PyTorch's containers: a warm-up, perhaps a plateau, then a decay, in sequence or multiplied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..errors import InvalidInput
from .reading import Fields, Training, inexact, shifted, whole

Read = Callable[[Any, float, Training], Fields]
MOVING = frozenset({"linear", "cosine"})
"""What may follow a plateau as the end of ``wsd``."""
OWN_RATES = frozenset({"CyclicLR", "OneCycleLR", "CosineAnnealingWarmRestarts"})
"""These set the rate whatever another scheduler made of it."""


def _name(scheduler: Any) -> str:
    return type(scheduler).__name__


def _is_flat(scheduler: Any) -> bool:
    return _name(scheduler) == "ConstantLR" and scheduler.factor == 1


def _is_ramp(scheduler: Any) -> bool:
    return _name(scheduler) == "LinearLR" and scheduler.end_factor == 1 and scheduler.start_factor < 1


def _ramp(scheduler: Any) -> tuple[int, float]:
    return whole("LinearLR's total_iters", scheduler.total_iters), scheduler.start_factor


def _shorter(training: Training, by: int) -> Training:
    """The training without its first ``by`` steps."""
    if training.steps is None:
        return training
    if training.steps <= by:
        raise InvalidInput(f"the training must be longer than {by} steps (got {training.steps})", field="updates")
    field = "updates" if training.epochs is None else "epochs"
    return replace(training, **{field: training.steps - by})


def _joined(fields: Fields, peak: float, warmup: int, start: float, before: int) -> Fields:
    """``fields`` of a decay after ``before`` steps, of which a warm-up lasts the first ``warmup``."""
    if warmup and (fields.get("warmup") or fields["initial_lr"] != peak):
        raise inexact("the decay after the warm-up does not begin at the rate that the warm-up ends at", "let it")
    ramp = {"warmup": warmup, "warmup_shape": "linear", "warmup_start": start} if warmup else {}
    return fields | ramp | {"updates": fields["updates"] + before}


def sequential(scheduler: Any, peak: float, training: Training, read: Read) -> Fields:
    """``SequentialLR``: LinearLR up to 1 and flat ConstantLR, as many as there are, then any decay."""
    *first, last = scheduler._schedulers
    ends = [int(milestone) for milestone in scheduler._milestones]
    warmup, start, before = 0, 1.0, 0
    for stage, end in zip(first, ends, strict=True):
        if _is_ramp(stage) and before == 0:
            warmup, start = _ramp(stage)
            if warmup > end:
                raise inexact(
                    f"the warm-up of {warmup} steps is cut off at {end}, and the rate jumps",
                    f"end it there: LinearLR(total_iters={end})",
                )
        elif not _is_flat(stage):
            raise inexact(
                f"{_name(stage)} comes before {_name(last)}",
                "a Schedule is one warm-up (LinearLR up to end_factor 1), flat if need be (ConstantLR(factor=1)), and "
                "one decay; write several as piecewise milestones and factors",
            )
        before = end
    if _name(last) in OWN_RATES - {"CosineAnnealingWarmRestarts"}:
        raise inexact(f"{_name(last)} brings its own way up and sets the optimiser's initial rate", "use it alone")
    rest = _shorter(training, before)
    fields, flat = read(last, peak, rest), before - warmup
    if flat and fields["family"] in MOVING and not fields.get("warmup") and fields["initial_lr"] == peak:
        length = fields["updates"]
        wsd = {"family": "wsd", "decay_shape": fields["family"], "decay_length": length}
        return _joined(fields | wsd, peak, warmup, start, before)
    if flat:
        fields = shifted(_name(last), fields | {"updates": fields["updates"] + flat}, flat)
        return _joined(fields, peak, warmup, start, warmup)
    return _joined(fields, peak, warmup, start, before)


def chained(scheduler: Any, peak: float, training: Training, read: Read) -> Fields:
    """``ChainedScheduler``: a warm-up times a decay, exact where the decay begins after the warm-up."""
    parts = [part for part in scheduler._schedulers if not _is_flat(part)] or list(scheduler._schedulers[:1])
    ramps = [part for part in parts if _is_ramp(part)]
    decays = [part for part in parts if not _is_ramp(part)]
    if len(parts) == 1:
        return read(parts[0], peak, training)
    if len(ramps) != 1 or len(decays) != 1 or _name(decays[0]) in OWN_RATES:
        raise inexact(
            f"ChainedScheduler multiplies {', '.join(_name(part) for part in parts)}",
            "exact is one LinearLR up to end_factor 1 and one StepLR or MultiStepLR that first changes after it; put "
            "others one after the other with SequentialLR",
        )
    warmup, start = _ramp(ramps[0])
    rest = _shorter(training, 0)
    fields = read(decays[0], peak, rest)
    return _joined(shifted(_name(decays[0]), fields, -warmup), peak, warmup, start, 0)
