"""What every framework's tests do with an emitted text: run it where lrsearch is not, and compare every update."""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings

import numpy as np
import pytest

from lrsearch.schedules import CLOSED_FORMS, Schedule
from lrsearch.tasks.vision import torchvision_module

BEYOND = 5
FLOAT64 = 1e-12
FLOAT32 = 5e-7
HARD = tuple(
    {"initial_lr": 1.0, "eval_every": 1} | hard
    for hard in (
        {"family": "polynomial", "updates": 41, "power": 0.5},  # 41 x (1 / 41) < 1 in float32
        {"family": "polynomial", "updates": 1000, "power": 100},
        {"family": "step", "updates": 5000, "decay_rate": 0.99005, "step_size": 1},
        {"family": "step", "updates": 5000, "decay_rate": 1e-40, "step_size": 2000},
    )
)
"""What float32 loses digits of, if one lets it."""
SETS = 50 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 5
"""Random parameter sets for every family x warm-up x target."""
MAX_UPDATES = 60
RECIPE = {"task": "digits-mlp", "optimizer": {"name": "sgd", "momentum": 0.9}, "batch_size": 64, "clip_norm": None}


def framework(*modules):
    """The first of ``modules``, all imported; what they warn of while they are imported is not ours."""
    if importlib.util.find_spec("torchvision"):  # some import it, and it may have been built for another torch
        torchvision_module("datasets")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            imported = [importlib.import_module(module) for module in modules]
        except ModuleNotFoundError as missing:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"{missing}: pip install -c constraints.txt -e '.[frameworks]'")
    return imported[0]


def executed(text):
    """The names that the text defines; it may not import lrsearch."""
    assert "lrsearch" not in {line.split()[1].partition(".")[0] for line in text.splitlines() if "import" in line[:6]}
    names = {"__name__": "pasted"}
    exec(compile(text, "pasted.py", "exec"), names)
    return names


def expected(schedule, updates_per_epoch, beyond=BEYOND):
    """The rates of updates 0..H+beyond."""
    horizon = schedule.clock(updates_per_epoch).horizon
    return schedule.lr(np.arange(horizon + beyond + 1), updates_per_epoch)


def assert_agree(rates, wanted, tolerance):
    """``|rates - wanted| <= tolerance x peak`` at every update."""
    assert np.shape(rates) == wanted.shape
    assert np.abs(np.asarray(rates, np.float64) - wanted).max() <= tolerance * wanted.max()


def weights(*shapes):
    import torch

    return [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]


def rates_in_force(optimizer, scheduler, n_updates):
    """The rate of every group at each of ``n_updates`` optimiser updates, as the optimiser itself sees it."""
    seen = []
    hook = optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.append([float(group["lr"]) for group in optimizer.param_groups])
    )
    for _ in range(n_updates):
        optimizer.step()
        scheduler.step()
    hook.remove()
    return np.array(seen)


def some(family, **told):
    """A schedule of the family whose parameters differ from their neutral values."""
    parameters = {
        "decay_rate": 0.5, "step_size": 2, "milestones": [1, 2.5], "factors": [0.4, 0.1], "timescale": 3, "power": 2,
        "cycle": 2, "cycle_growth": 1.5, "peak_decay": 0.7, "rise": 0.3, "decay_shape": "cosine",
    }  # fmt: skip
    known = {name: value for name, value in parameters.items() if name in CLOSED_FORMS[family].parameters()}
    return Schedule.model_validate({"family": family, "initial_lr": 0.3, **known, **told})
