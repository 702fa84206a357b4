"""Controls beyond one rate for all: rates of depth groups, and momentum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..errors import InvalidInput
from ..schedules import OWN, Column, FloatArray
from ..study import OptimizerSpec
from ..tasks.task import Task
from ..trajectory import rounded


def depths(task: Task, model: torch.nn.Module) -> dict[str, int]:
    """The depth group, from 0 at the input, of every trained parameter by name.

    Raises:
        InvalidInput: the task's ``depth_groups`` names what the model has not, or one parameter twice.
    """
    groups = [group for group in task.depth_groups(model) if group]
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    known = dict(model.named_parameters())
    named = [name for group in groups for name in group]
    wrong = [name for name in named if name not in known] + sorted({name for name in named if named.count(name) > 1})
    if wrong:
        raise InvalidInput(
            f"`depth_groups()` of task `{task.name}` names every parameter of its model at most once "
            f"(got {', '.join(wrong[:5])})"
        )
    found = {name: number for number, group in enumerate(groups) for name in group}
    last = max(0, len(groups) - 1)
    used = sorted({found.get(name, last) for name in trained})
    return {name: used.index(found.get(name, last)) for name in trained}


def group_rates(controls: FloatArray, n_groups: int) -> FloatArray | None:
    """The rate of every depth group.

    Args:
        controls: shape (..., columns).
        n_groups: how many there are, >= 1.

    Returns:
        Shape (..., groups): ``rate * layer_decay ** (groups - 1 - g)``, 0 but for the last group where frozen, to 44
        bits of mantissa; None where the controls have no such columns.
    """
    if controls.shape[-1] <= Column.LAYER_DECAY:
        return None
    below = np.arange(n_groups - 1, -1, -1)
    rates: FloatArray = controls[..., Column.RATE, None] * controls[..., Column.LAYER_DECAY, None] ** below
    if controls.shape[-1] > Column.FROZEN:
        rates = np.where((controls[..., Column.FROZEN, None] > 0) & (below > 0), 0.0, rates)
    return rounded(rates)


def own_momentum(spec: OptimizerSpec) -> float | None:
    """An optimiser's momentum, or beta 1; None where it keeps none."""
    betas: Sequence[float] | None = getattr(spec, "betas", None)
    return betas[0] if betas is not None else (getattr(spec, "momentum", None) or None)


def momenta(controls: FloatArray, spec: OptimizerSpec) -> FloatArray | None:
    """The momentum of every update, shape (...); None where the controls have no such column.

    Raises:
        InvalidInput: the controls move the momentum of an optimiser that has none.
    """
    if controls.shape[-1] <= Column.MOMENTUM:
        return None
    asked = controls[..., Column.MOMENTUM]
    own = own_momentum(spec)
    if own is None:
        if (asked != OWN).any():
            raise InvalidInput(
                f"a schedule moves the momentum of {spec.name} only where the recipe gives it one: "
                "sgd or rmsprop with momentum > 0, adam, adamw or ranger"
            )
        return None
    moved: FloatArray = np.where(asked == OWN, own, asked)
    return moved
