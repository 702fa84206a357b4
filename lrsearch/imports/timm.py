"""timm: the arguments of its ``train.py``; timm itself is not imported."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from ..errors import InvalidInput
from ..schedules import Schedule
from .reading import Fields, Importer, Training, inexact, shifted, valid, whole

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "sched": "cosine",
        "sched_on_updates": False,
        "lr": None,
        "epochs": 300,
        "warmup_epochs": 5,
        "warmup_lr": 1e-5,
        "warmup_prefix": False,
        "cooldown_epochs": 0,
        "min_lr": 0.0,
        "decay_epochs": 90.0,
        "decay_milestones": (90, 180, 270),
        "decay_rate": 0.1,
        "lr_cycle_mul": 1.0,
        "lr_cycle_decay": 0.5,
        "lr_cycle_limit": 1,
        "lr_k_decay": 1.0,
        "lr_decay_fn": None,
        "lr_noise": None,
    }
)
"""The arguments that rates depend on, with the defaults of ``train.py`` (timm 1.0.31)."""


class _Line(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"not arguments of timm's train.py: {message}", field="source")


def _parsed(line: str) -> Mapping[str, Any]:
    """A command line's arguments; those that rates do not depend on are passed over."""
    parser = _Line(add_help=False, allow_abbrev=False)
    for name, default in DEFAULTS.items():
        flag, kind = f"--{name.replace('_', '-')}", type(default) if default is not None else float
        if default is False:
            parser.add_argument(flag, action="store_true")
        elif isinstance(default, tuple) or name == "lr_noise":
            parser.add_argument(flag, type=float, nargs="+", default=default)
        else:
            parser.add_argument(flag, type=str if name == "lr_decay_fn" else kind, default=default)
    return vars(parser.parse_known_args(shlex.split(line))[0])


class Asked:
    """The arguments by name, and the lengths that follow from them, in epochs."""

    def __init__(self, source: Any) -> None:
        if isinstance(source, str):
            source = _parsed(source)
        given = source if isinstance(source, Mapping) else vars(source)
        self.told: Mapping[str, Any] = {**DEFAULTS, **{name: given[name] for name in DEFAULTS if name in given}}
        if self["lr"] is None:
            raise InvalidInput("timm computes the rate from the batch size where none is given: give `lr`", field="lr")
        self.peak = float(self["lr"])
        self.warmup = whole("warmup_epochs", self["warmup_epochs"], least=0)
        self.epochs = whole("epochs", self["epochs"])
        self.total = self.epochs + (self.warmup if self["warmup_prefix"] else 0)

    def __getitem__(self, name: str) -> Any:
        return self.told[name]

    def ends_down(self) -> Fields:
        """The fields of a schedule that ends at ``min_lr``."""
        if self.warmup and not self["warmup_prefix"]:
            raise inexact(
                "without warmup_prefix the decay's clock runs during the warm-up, and the rate jumps where it ends",
                "add --warmup-prefix and take the warm-up off --epochs",
                field="warmup_prefix",
            )
        if self["lr_k_decay"] != 1:
            raise inexact("lr_k_decay bends the clock", "leave it at 1", field="lr_k_decay")
        if self["cooldown_epochs"]:
            raise inexact(
                "cooldown_epochs go on after the schedule has ended",
                "leave them out: a Schedule keeps its last rate beyond the horizon",
                field="cooldown_epochs",
            )
        return {"final_factor": float(self["min_lr"]) / self.peak, "updates": self.total}


def _constant(asked: Asked, per_epoch: int | None) -> Fields:
    return {"family": "constant", "updates": asked.total}


def _step(asked: Asked, per_epoch: int | None) -> Fields:
    if asked["decay_epochs"] < 1:
        raise inexact(f"decay_epochs {asked['decay_epochs']:g}", "let it be whole epochs", field="decay_epochs")
    told = {"decay_rate": asked["decay_rate"], "step_size": whole("decay_epochs", asked["decay_epochs"])}
    fields = {"family": "step", "updates": asked.total, "initial_lr": asked.peak, **told}
    return fields if asked["warmup_prefix"] or not asked.warmup else shifted("step", fields, -asked.warmup)


def _multistep(asked: Asked, per_epoch: int | None) -> Fields:
    """Timm's milestones take effect one update early, or one epoch where it is stepped once an epoch."""
    unit = 1 if per_epoch is None else per_epoch
    times = [whole("decay_milestones", milestone) * unit - 1 for milestone in sorted(asked["decay_milestones"])]
    told = {"decay_rate": asked["decay_rate"], "milestones": times}
    fields = {"family": "multistep", "updates": asked.total * unit, "initial_lr": asked.peak, **told}
    runs = asked.warmup and not asked["warmup_prefix"]
    return shifted("multistep", fields, -asked.warmup * unit if runs else 0)


def _cosine(asked: Asked, per_epoch: int | None) -> Fields:
    down, cycles = asked.ends_down(), int(asked["lr_cycle_limit"])
    if cycles == 1:
        return {"family": "cosine", **down}
    if asked["lr_cycle_mul"] != 1:
        raise inexact(
            f"lr_cycle_mul {asked['lr_cycle_mul']:g}: where timm restarts hangs on the rounding of a logarithm",
            "write family cosine_restarts with `cycle_growth`",
            field="lr_cycle_mul",
        )
    if asked["lr_cycle_decay"] != 1 and down["final_factor"]:
        raise inexact("lr_cycle_decay lowers the peak, not what lies above min_lr", "set one of min_lr 0 and decay 1")
    told = {"cycle": asked.epochs, "peak_decay": asked["lr_cycle_decay"]}
    longer = down["updates"] + (cycles - 1) * asked.epochs
    return {"family": "cosine_restarts", **down, **told, "updates": longer}


def _poly(asked: Asked, per_epoch: int | None) -> Fields:
    if asked["lr_cycle_limit"] != 1:
        raise inexact("polynomial decays that restart", "leave lr_cycle_limit at 1", field="lr_cycle_limit")
    power, down = float(asked["decay_rate"]), asked.ends_down()
    return {"family": "linear", **down} if power == 1 else {"family": "polynomial", "power": power, **down}


def _wsd(asked: Asked, per_epoch: int | None) -> Fields:
    """Its warm-up always comes first, and ``epochs`` hold it unless ``warmup_prefix``."""
    shape, decay = asked["lr_decay_fn"] or "1-sqrt", asked["decay_epochs"]
    length = asked.epochs if asked["warmup_prefix"] else asked.epochs - asked.warmup
    if 0 < decay < 1:
        decay *= length
    falls = whole("the decay", decay)
    if falls > length:
        raise InvalidInput(f"the decay is longer than the {length} epochs after the warm-up", field="decay_epochs")
    told = {"decay_shape": shape, "decay_length": falls, "updates": length + asked.warmup}
    return {"family": "wsd", "final_factor": float(asked["min_lr"]) / asked.peak, **told}


READERS: Mapping[str, Callable[[Asked, int | None], Fields]] = MappingProxyType(
    {
        "constant": _constant,
        "step": _step,
        "multistep": _multistep,
        "cosine": _cosine,
        "poly": _poly,
        "wsd": _wsd,
    }
)
"""What reads the arguments, by ``sched``; the second argument is the updates of an epoch where these matter."""
BETWEEN_EPOCHS = frozenset({"multistep"})
"""Those that change between two epochs where they are stepped at every update."""


def read(source: Any, training: Training) -> Schedule:
    """The schedule of the arguments of ``train.py``, over the epochs that they say; what is left out has its default.

    With ``sched: multistep`` and ``sched_on_updates`` the horizon is in updates, as its milestones are between epochs.
    """
    if training.updates is not None or training.epochs is not None:
        raise InvalidInput("timm's arguments say how long the training is: leave it out", field="updates")
    asked = Asked(source)
    name = asked["sched"]
    what = f"timm's {name}"
    if name not in READERS:
        raise inexact(f"timm's sched {name!r:.100}", f"importable are {', '.join(READERS)}", field="sched")
    if asked["lr_noise"]:
        raise inexact("lr_noise", "leave it out", field="lr_noise")
    on_updates, per_epoch = bool(asked["sched_on_updates"]), None
    if on_updates and name in BETWEEN_EPOCHS:
        per_epoch = training.updates_per_epoch
        if per_epoch is None:
            raise InvalidInput(f"{what} changes one update early: give `updates_per_epoch`", field="updates_per_epoch")
    fields = {"initial_lr": asked.peak, **READERS[name](asked, per_epoch)}
    if asked.warmup:
        ramp = {"warmup_shape": "linear", "warmup_start": float(asked["warmup_lr"]) / asked.peak}
        fields |= {"warmup": asked.warmup * (per_epoch or 1), **ramp}
    if per_epoch is not None:
        return valid(what, fields | {"eval_every": per_epoch})
    horizon = fields.pop("updates")
    if on_updates:
        return valid(what, fields | {"epochs": horizon})
    return Training(epochs=horizon).schedule(what, fields | {"updates": horizon})


TIMM = Importer("timm", "the arguments of its train.py: a namespace, a mapping, or a command line", read)
