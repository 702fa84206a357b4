"""Transformers: ``TrainingArguments``, or what ``get_scheduler`` makes of them; Transformers itself is not imported."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from ..errors import InvalidInput
from ..schedules import Schedule
from .reading import Fields, Importer, Training, inexact, whole

LEARNING_RATE = 5e-5
"""What ``TrainingArguments`` take where none is given."""
WAVES = 0.5
"""``num_cycles`` of half a cosine, down only."""


@dataclass(frozen=True)
class Type:
    """One of Transformers' schedules.

    Attributes:
        name: its ``lr_scheduler_type``.
        function: what its ``LambdaLR`` calls.
        read: the decay, of its peak and all its settings: ``num_warmup_steps``, ``num_training_steps`` (or None), and
            ``settings``.
        settings: its keyword arguments with their defaults.
        warms: whether it has the usual warm-up, linear from 0.
    """

    name: str
    function: str
    read: Callable[[float, Mapping[str, Any]], Fields]
    settings: Mapping[str, Any] = field(default_factory=dict)
    warms: bool = True


def _half_cosine(told: Mapping[str, Any]) -> None:
    if told["num_cycles"] != WAVES:
        raise inexact(
            f"num_cycles={told['num_cycles']:g} is not half a cosine",
            "leave it at 0.5, or use cosine_with_restarts",
            field="lr_scheduler_kwargs",
        )


def _lowest(peak: float, told: Mapping[str, Any]) -> float:
    """The lowest rate as a share of the peak."""
    if told.get("min_lr") is not None:
        return float(told["min_lr"]) / peak
    return float(told.get("min_lr_rate") or 0.0)


def _cosine(peak: float, told: Mapping[str, Any]) -> Fields:
    _half_cosine(told)
    return {"family": "cosine", "final_factor": _lowest(peak, told)}


def _restarts(peak: float, told: Mapping[str, Any]) -> Fields:
    cycles = told["num_cycles"]
    length = told["num_training_steps"] - told["num_warmup_steps"]
    if cycles == 1:
        return {"family": "cosine"}
    cycle = whole(f"a cycle of {length} steps / num_cycles {cycles:g}", length / cycles)
    late = [n for n in range(1, int(cycles)) if (float(cycles) * (float(n * cycle) / float(length))) % 1.0 != 0]
    if late:
        raise inexact(
            f"Transformers rounds so that restart {late[0]} of {cycles:g} comes a step late",
            "choose another num_cycles or number of steps",
            field="lr_scheduler_kwargs",
        )
    return {"family": "cosine_restarts", "cycle": cycle}


def _polynomial(peak: float, told: Mapping[str, Any]) -> Fields:
    end = {"final_factor": float(told["lr_end"]) / peak}
    power = float(told["power"])
    return {"family": "linear", **end} if power == 1 else {"family": "polynomial", "power": power, **end}


def _inverse_sqrt(peak: float, told: Mapping[str, Any]) -> Fields:
    scale = told["timescale"] or told["num_warmup_steps"] or 10_000
    return {"family": "inverse_sqrt", "timescale": whole("timescale", scale)}


def _early_cosine(peak: float, told: Mapping[str, Any]) -> Fields:
    """Its warm-up counts from 1, so peak and end come one update sooner."""
    _half_cosine(told)
    warmup, start = int(told["num_warmup_steps"]), told["warmup_lr_rate"]
    if warmup < 1 or (warmup == 1 and start not in (None, 1)):
        raise inexact(
            "cosine_warmup_with_min_lr never has the full rate without a warm-up",
            "give it warmup_steps, or use cosine_with_min_lr",
            field="warmup_steps",
        )
    ramp = {"warmup": warmup - 1, "warmup_start": 1 / warmup if start is None else float(start)}
    horizon = {"updates": told["num_training_steps"] - 1}
    return {"family": "cosine", "final_factor": _lowest(peak, told), **ramp, **horizon}


def _wsd(peak: float, told: Mapping[str, Any]) -> Fields:
    warmup, decay, stable = told["num_warmup_steps"], told["num_decay_steps"], told["num_stable_steps"]
    horizon = told["num_training_steps"] if stable is None else warmup + stable + decay
    for name, kind, known in (
        ("warmup_type", told["warmup_type"], ("linear", "cosine")),
        ("decay_type", told["decay_type"], ("linear", "cosine", "1-sqrt")),
    ):
        if kind not in known and (warmup or name == "decay_type"):
            raise inexact(f"{name} {kind!r}", f"it may be {', '.join(known)}", field="lr_scheduler_kwargs")
    if told["decay_type"] == "cosine":
        _half_cosine(told)
    if horizon is None or horizon < warmup + decay or told["num_training_steps"] not in (None, horizon):
        raise inexact(
            f"warm-up, stable and decay steps ({warmup}, {stable}, {decay}) do not add up to the "
            f"{told['num_training_steps']} of the training",
            "leave num_stable_steps out, or let them",
            field="lr_scheduler_kwargs",
        )
    lowest = float(told["min_lr_ratio"])
    shapes = {"decay_shape": told["decay_type"], "warmup_shape": told["warmup_type"] if warmup else "linear"}
    told = {"decay_length": decay, "final_factor": lowest, "warmup": warmup, "warmup_start": lowest}
    return {"family": "wsd", "updates": horizon, **shapes, **told}


_COSINE = "_get_cosine_schedule_with_warmup_lr_lambda"
TYPES: Mapping[str, Type] = MappingProxyType(
    {
        type.name: type
        for type in (
            Type("constant", "_get_constant_lambda", lambda peak, told: {"family": "constant"}, warms=False),
            Type(
                "constant_with_warmup",
                "_get_constant_schedule_with_warmup_lr_lambda",
                lambda peak, told: {"family": "constant"},
            ),
            Type("linear", "_get_linear_schedule_with_warmup_lr_lambda", lambda peak, told: {"family": "linear"}),
            Type("cosine", _COSINE, _cosine, {"num_cycles": WAVES}),
            Type("cosine_with_min_lr", _COSINE, _cosine, {"num_cycles": WAVES, "min_lr": None, "min_lr_rate": None}),
            Type(
                "cosine_with_restarts",
                "_get_cosine_with_hard_restarts_schedule_with_warmup_lr_lambda",
                _restarts,
                {"num_cycles": 1},
            ),
            Type(
                "cosine_warmup_with_min_lr",
                "_get_cosine_with_min_lr_schedule_with_warmup_lr_rate_lambda",
                _early_cosine,
                {"num_cycles": WAVES, "min_lr": None, "min_lr_rate": None, "warmup_lr_rate": None},
                warms=False,
            ),
            Type(
                "polynomial",
                "_get_polynomial_decay_schedule_with_warmup_lr_lambda",
                _polynomial,
                {"lr_end": 1e-7, "power": 1.0},
            ),
            Type("inverse_sqrt", "_get_inverse_sqrt_schedule_lr_lambda", _inverse_sqrt, {"timescale": None}),
            Type(
                "warmup_stable_decay",
                "_get_wsd_scheduler_lambda",
                _wsd,
                {
                    "num_decay_steps": None,
                    "num_stable_steps": None,
                    "warmup_type": "linear",
                    "decay_type": "cosine",
                    "min_lr_ratio": 0.0,
                    "num_cycles": WAVES,
                },
                warms=False,
            ),
        )
    }
)
"""Every ``lr_scheduler_type`` that is a function of the update, by name."""
FUNCTIONS: Mapping[str, Type] = MappingProxyType({type.function: type for type in TYPES.values()})


def _fields(type: Type, peak: float, told: Mapping[str, Any]) -> Fields:
    ramp = {"warmup": told["num_warmup_steps"], "warmup_start": 0.0} if type.warms and told["num_warmup_steps"] else {}
    return {"initial_lr": peak, "updates": told["num_training_steps"], **ramp, **type.read(peak, told)}


def from_lambda(function: Any, peak: float, training: Training) -> Fields | None:
    """The fields of a function that Transformers gives to ``LambdaLR``; None for any other."""
    called, told = (function.func, function.keywords) if isinstance(function, partial) else (function, {})
    if getattr(called, "__module__", None) != "transformers.optimization" or called.__name__ not in FUNCTIONS:
        return None
    type = FUNCTIONS[called.__name__]
    told = {"num_warmup_steps": 0, "num_training_steps": None, **type.settings, **told}
    what = f"Transformers' {type.name}"
    if told["num_training_steps"] is not None:
        training.only(what, told["num_training_steps"])
    elif told.get("num_stable_steps") is None:
        told["num_training_steps"] = training.horizon(what)
    fields = _fields(type, peak, told)
    if told.get("num_stable_steps") is not None:
        training.only(what, fields["updates"])
    return fields


def read(config: Any, training: Training) -> Schedule:
    """The schedule of ``TrainingArguments``, or of a mapping of their fields; what is left out has their defaults."""
    asked = config.get if isinstance(config, Mapping) else partial(_attribute, config)
    name = asked("lr_scheduler_type", "linear")
    name = str(getattr(name, "value", name))
    type = TYPES.get(name)
    if type is None:
        raise inexact(
            f"lr_scheduler_type {name!r:.100}",
            f"importable are {', '.join(TYPES)}; for reduce_lr_on_plateau import the torch scheduler",
            field="lr_scheduler_type",
        )
    own = asked("max_steps", -1)
    horizon = training.only("max_steps", own) if own > 0 else training.horizon("TrainingArguments without max_steps")
    given = asked("lr_scheduler_kwargs", None) or {}
    given = json.loads(given) if isinstance(given, str) else given
    unknown = sorted(set(given) - set(type.settings))
    if unknown:
        raise InvalidInput(
            f"{name} takes {', '.join(type.settings) or 'no arguments'} (got {', '.join(unknown)})",
            field="lr_scheduler_kwargs",
        )
    told = {**type.settings, **given, "num_training_steps": horizon, "num_warmup_steps": _warmup(asked, horizon)}
    if type.settings.keys() >= {"num_decay_steps"} and told["num_decay_steps"] is None:
        raise InvalidInput(f"{name} needs num_decay_steps", field="lr_scheduler_kwargs")
    return training.schedule(f"Transformers' {name}", _fields(type, float(asked("learning_rate", LEARNING_RATE)), told))


def _attribute(config: Any, name: str, default: Any) -> Any:
    return getattr(config, name, default)


def _warmup(asked: Callable[[str, Any], Any], horizon: int) -> int:
    """The warm-up in steps, as ``TrainingArguments.get_warmup_steps`` has it: below 1 it is a share, rounded up."""
    steps = asked("warmup_steps", 0) or asked("warmup_ratio", 0) or 0
    return int(steps) if steps >= 1 else math.ceil(horizon * steps)


TRANSFORMERS = Importer("transformers", "TrainingArguments, or a mapping of their fields", read)
