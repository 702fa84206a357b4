"""PyTorch: a scheduler of ``torch.optim.lr_scheduler``, read from its attributes; torch itself is not imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from ..errors import InvalidInput
from ..exports.torch import rate
from ..schedules import Schedule
from .reading import Fields, Importer, Training, inexact, whole
from .torch_sequence import chained, sequential
from .transformers import from_lambda

Reader = Callable[[Any, float, Training], Fields]
"""The fields of a scheduler whose parameter group has this ``initial_lr``."""


def _constant(peak: float, horizon: int) -> Fields:
    return {"family": "constant", "initial_lr": peak, "updates": horizon}


def _step(scheduler: Any, peak: float, training: Training) -> Fields:
    size = whole("StepLR's step_size", scheduler.step_size)
    told = {"decay_rate": scheduler.gamma, "step_size": size}
    return {"family": "step", "initial_lr": peak, "updates": training.horizon("StepLR"), **told}


def _multistep(scheduler: Any, peak: float, training: Training) -> Fields:
    horizon = training.horizon("MultiStepLR")
    times = sorted((milestone, count) for milestone, count in scheduler.milestones.items() if milestone > 0)
    peak *= scheduler.gamma ** scheduler.milestones.get(0, 0)
    if not times:
        return _constant(peak, horizon)
    told = {"initial_lr": peak, "updates": horizon, "milestones": [milestone for milestone, _ in times]}
    if all(count == 1 for _, count in times):
        return {"family": "multistep", "decay_rate": scheduler.gamma, **told}
    passed = [sum(count for _, count in times[: index + 1]) for index in range(len(times))]
    factors = [scheduler.gamma**count for count in passed]
    return {"family": "piecewise", "between": "step", "factors": factors, **told}


def _exponential(scheduler: Any, peak: float, training: Training) -> Fields:
    told = {"decay_rate": scheduler.gamma, "step_size": 1}
    return {"family": "exponential", "initial_lr": peak, "updates": training.horizon("ExponentialLR"), **told}


def _constant_factor(scheduler: Any, peak: float, training: Training) -> Fields:
    horizon = training.horizon("ConstantLR")
    if scheduler.factor != 1 and scheduler.total_iters <= horizon:
        raise inexact(
            f"ConstantLR(factor={scheduler.factor:g}) jumps to the full rate at step {scheduler.total_iters}",
            "a warm-up here rises to the peak: LinearLR, or ConstantLR for longer than the training",
        )
    return _constant(peak * scheduler.factor, horizon)


def _linear(scheduler: Any, peak: float, training: Training) -> Fields:
    first, last = scheduler.start_factor, scheduler.end_factor
    n = whole("LinearLR's total_iters", scheduler.total_iters)
    if last > first:
        ramp = {"warmup": n, "warmup_shape": "linear", "warmup_start": first / last}
        return _constant(peak * last, training.horizon("LinearLR, which rises, ")) | ramp
    return _line({"initial_lr": peak * first}, last / first, n, training.horizon("LinearLR", n))


def _line(told: Fields, factor: float, n: int, horizon: int) -> Fields:
    """A straight line down to ``factor`` within ``n`` steps, and whatever of it lies in the horizon."""
    if n == horizon:
        return {"family": "linear", "final_factor": factor, "updates": horizon, **told}
    return {"family": "piecewise", "milestones": [n], "factors": [factor], "updates": horizon, **told}


def _polynomial(scheduler: Any, peak: float, training: Training) -> Fields:
    n = whole("PolynomialLR's total_iters", scheduler.total_iters)
    if scheduler.power == 1:
        return _line({"initial_lr": peak}, 0.0, n, training.horizon("PolynomialLR", n))
    horizon = training.only("PolynomialLR", n)
    return {"family": "polynomial", "initial_lr": peak, "power": scheduler.power, "updates": horizon}


def _cosine(scheduler: Any, peak: float, training: Training) -> Fields:
    horizon = training.only("CosineAnnealingLR", whole("CosineAnnealingLR's T_max", scheduler.T_max))
    return {"family": "cosine", "initial_lr": peak, "final_factor": scheduler.eta_min / peak, "updates": horizon}


def _restarts(scheduler: Any, peak: float, training: Training) -> Fields:
    told = {"cycle": whole("T_0", scheduler.T_0), "cycle_growth": scheduler.T_mult}
    horizon = training.horizon("CosineAnnealingWarmRestarts")
    floor = scheduler.eta_min / peak
    return {"family": "cosine_restarts", "initial_lr": peak, "final_factor": floor, "updates": horizon, **told}


def _momentum(scheduler: Any, base: float, top: float, *lowest: float) -> Fields:
    """The momentum that moves from ``top`` at the lowest rates to ``base`` at the highest.

    ``lowest`` are the shares of the peak rate that its parts begin or end at: ours moves as the rate does, so it must.
    """
    if base != top and 1 in lowest:
        raise inexact(
            f"{type(scheduler).__name__} moves the momentum where the rate stays",
            "let the rate move there too, or make it with cycle_momentum=False",
        )
    return {"momentum_at_peak": float(base), "momentum_at_low": float(top)}


def _cyclic(scheduler: Any, peak: float, training: Training) -> Fields:
    mode = "triangular" if scheduler.gamma == 1 and scheduler.mode == "exp_range" else scheduler.mode
    heights = {"triangular": 1.0, "triangular2": 0.5}
    if scheduler._scale_fn_custom is not None or mode not in heights:
        raise inexact(
            "CyclicLR's exp_range, or a scale_fn, lowers the first peak while it rises to it",
            "use mode triangular or triangular2, or family cyclic with `envelope: exponential` from the first peak on",
        )
    up = whole("CyclicLR's step_size_up", scheduler.step_ratio * scheduler.total_size)
    cycle = whole("a cycle of CyclicLR", scheduler.total_size)
    group = _group(scheduler, training)
    top = float(scheduler.max_lrs[group])
    floor = peak / top
    told = {"cycle": cycle, "rise": up / cycle, "peak_decay": heights[mode], "final_factor": floor}
    ramp = {"warmup": up, "warmup_shape": "linear", "warmup_start": floor}
    if scheduler.cycle_momentum:
        base, highest = scheduler.base_momentums[group], scheduler.max_momentums[group]
        ramp |= _momentum(scheduler, base, highest, floor)
    return {"family": "cyclic", "initial_lr": top, "updates": training.horizon("CyclicLR"), **told, **ramp}


def _one_cycle(scheduler: Any, peak: float, training: Training) -> Fields:
    group = scheduler.optimizer.param_groups[_group(scheduler, training)]
    top, floor = float(group["max_lr"]), float(group["min_lr"])
    ends = [phase["end_step"] for phase in scheduler._schedule_phases]
    warmup = whole("OneCycleLR's way up, pct_start * total_steps - 1,", ends[0])
    shape = {"cos": "cosine", "linear": "linear"}[scheduler._anneal_func_type]
    told = {"initial_lr": top, "warmup": warmup, "warmup_shape": shape, "warmup_start": peak / top}
    told["updates"] = training.only("OneCycleLR(total_steps), whose last rate is that of total_steps - 1,", ends[-1])
    if scheduler.cycle_momentum and len(ends) > 2:
        raise inexact(
            "OneCycleLR(three_phase=True) keeps the momentum in its last phase, where the rate falls",
            "make it with cycle_momentum=False to import its rates alone, or with two phases",
        )
    if scheduler.cycle_momentum:
        ends_at = (peak / top, floor / top)
        told |= _momentum(scheduler, group["base_momentum"], group["max_momentum"], *ends_at)
    if len(ends) == 2:
        return {"family": "one_cycle", "decay_shape": shape, "final_factor": floor / top, **told}
    if shape != "linear":
        raise inexact("OneCycleLR(three_phase=True) bends twice on its way down", 'use anneal_strategy="linear"')
    down = [whole("OneCycleLR's way down", ends[1]) - warmup, ends[-1] - warmup]
    return {"family": "piecewise", "milestones": down, "factors": [peak / top, floor / top], **told}


def _plateau(scheduler: Any, peak: float, training: Training) -> Fields:
    horizon, interval = training.horizon("ReduceLROnPlateau"), training.interval
    floor = float(scheduler.min_lrs[_group(scheduler, training)])
    rates, lr = -(-horizon // interval) // (scheduler.patience + 1), peak
    for _ in range(rates):
        lower = max(lr * scheduler.factor, floor)
        if lr == lower:
            break
        if lr - lower <= scheduler.eps:
            raise inexact(
                f"ReduceLROnPlateau(eps={scheduler.eps:g}) would stop lowering the rate at {lr:g}",
                "make it with eps=0, or with a min_lr above that",
            )
        lr = lower
    return {
        "family": "plateau",
        "initial_lr": peak,
        "decay_rate": scheduler.factor,
        "patience": scheduler.patience * interval,
        "cooldown": scheduler.cooldown * interval,
        "final_factor": floor / peak,
        "threshold": scheduler.threshold,
        "threshold_mode": scheduler.threshold_mode,
        "direction": {"min": "minimize", "max": "maximize"}[scheduler.mode],
        "updates": horizon,
    }


def _lambda(scheduler: Any, peak: float, training: Training) -> Fields:
    function = scheduler.lr_lambdas[_group(scheduler, training)]
    told = from_lambda(function, peak, training)
    if told is None:
        raise inexact(
            "LambdaLR calls a function, whose rates cannot be read",
            "write the schedule as a family (`lrsearch catalog` lists them), or as piecewise milestones and factors",
        )
    return told


def _no_family(scheduler: Any, peak: float, training: Training) -> Fields:
    raise inexact(
        f"there is nothing here for {type(scheduler).__name__}",
        f"importable are {', '.join(READERS)}; for anything else write the family down (`lrsearch catalog`)",
    )


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "StepLR": _step,
        "MultiStepLR": _multistep,
        "ExponentialLR": _exponential,
        "ConstantLR": _constant_factor,
        "LinearLR": _linear,
        "PolynomialLR": _polynomial,
        "CosineAnnealingLR": _cosine,
        "CosineAnnealingWarmRestarts": _restarts,
        "CyclicLR": _cyclic,
        "OneCycleLR": _one_cycle,
        "ReduceLROnPlateau": _plateau,
        "LambdaLR": _lambda,
        "SequentialLR": lambda scheduler, peak, training: sequential(scheduler, peak, training, _fields),
        "ChainedScheduler": lambda scheduler, peak, training: chained(scheduler, peak, training, _fields),
    }
)
"""What reads a scheduler, by the name of its class."""


def _group(scheduler: Any, training: Training) -> int:
    """The parameter group to read: the one asked for, else the first, if all are alike."""
    groups = len(scheduler.optimizer.param_groups)
    if training.group is not None:
        if training.group not in range(groups):
            raise InvalidInput(f"`group` counts from 0 to {groups - 1} (got {training.group!r})", field="group")
        return training.group
    return 0


def _initial_lr(scheduler: Any, training: Training) -> float:
    groups = scheduler.optimizer.param_groups
    if any("initial_lr" not in group for group in groups) and scheduler.last_epoch > 0:
        raise inexact(
            f"{type(scheduler).__name__} has been stepped and keeps no initial rate", "import it before its first step"
        )
    kept = getattr(scheduler, "base_lrs", None) or [group.get("initial_lr", group["lr"]) for group in groups]
    found = [float(lr) for lr in kept]
    if training.group is None and len(set(found)) > 1:
        raise inexact(
            f"the parameter groups have different lr (got {found})", "say which one to read, `group=0`", field="group"
        )
    return found[_group(scheduler, training)]


def _fields(scheduler: Any, peak: float, training: Training) -> Fields:
    kind = type(scheduler)
    known = kind.__module__ == "torch.optim.lr_scheduler"
    return READERS.get(kind.__name__ if known else "", _no_family)(scheduler, peak, training)


def read(scheduler: Any, training: Training) -> Schedule:
    """The schedule of a torch scheduler: its rates as it is stepped once an update, or once an epoch."""
    what = type(scheduler).__name__
    if not hasattr(scheduler, "optimizer"):
        raise InvalidInput(f"a scheduler of torch.optim.lr_scheduler is meant (got {what})", field="source")
    peak = _initial_lr(scheduler, training)
    own = _ours(scheduler, training)
    return training.schedule(what, _fields(scheduler, peak, training)) if own is None else own


def _ours(scheduler: Any, training: Training) -> Schedule | None:
    """The schedule that ``Schedule.to_torch`` was given, if the scheduler is its."""
    functions = getattr(scheduler, "lr_lambdas", None)
    function = functions[_group(scheduler, training)] if functions else None
    if not isinstance(function, partial) or function.func is not rate:
        return None
    if training.group is None:  # the whole schedule is that of all parameter groups without one of their own
        function = next((own for own in functions or () if own.args[0].groups), function)
    schedule: Schedule = function.args[0]
    multiplier = float(scheduler.optimizer.param_groups[_group(scheduler, training)]["initial_lr"])
    return schedule.model_copy(update={"initial_lr": schedule.initial_lr * multiplier})


TORCH = Importer("torch", "a scheduler of torch.optim.lr_scheduler, or one made by transformers", read)
