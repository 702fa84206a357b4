"""Controls beyond one rate for all: rates of depth groups and of parameter groups, and momentum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

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


class Layout(NamedTuple):
    """Which rate each trained parameter has.

    Attributes:
        places: its column of ``group_rates``, in the model's order.
        n_depths: how many depth groups there are, >= 1.
        n_groups: how many parameter groups have rates of their own; their columns come after the depth groups'.
    """

    places: tuple[int, ...]
    n_depths: int
    n_groups: int = 0


class Layouts(NamedTuple):
    """The layout of controls without rates of parameter groups, and of those with them."""

    plain: Layout
    grouped: Layout

    def of(self, controls: FloatArray) -> Layout:
        """The layout of controls of shape (..., columns)."""
        return self.grouped if controls.shape[-1] > len(Column) else self.plain


def layouts(task: Task, model: torch.nn.Module, groups: Mapping[str, Sequence[str]]) -> Layouts:
    """The layouts of a recipe.

    Args:
        task: says what the depth groups are.
        model: what is trained.
        groups: the recipe's parameter groups, sorted: modules or parameters of each; the longest name counts.

    Raises:
        InvalidInput: as ``depths``; nothing of the model is in a group.
    """
    found = depths(task, model)
    n_depths = max(found.values(), default=0) + 1
    owners = {path: n_depths + number for number, paths in enumerate(groups.values()) for path in paths}
    places = []
    for name, depth in found.items():
        inside = [path for path in owners if name == path or name.startswith(f"{path}.")]
        places.append(owners[max(inside, key=len)] if inside else depth)
    for number, (group, paths) in enumerate(groups.items(), start=n_depths):
        if number not in places:
            known = ", ".join(dict.fromkeys(name.rpartition(".")[0] or name for name in found))
            raise InvalidInput(
                f"`train.groups` names modules of the model of task `{task.name}`, which has {known:.500} "
                f"(got {', '.join(paths)} for {group})",
                field=f"train.groups.{group}",
            )
    return Layouts(Layout(tuple(found.values()), n_depths), Layout(tuple(places), n_depths, len(groups)))


def group_rates(controls: FloatArray, layout: Layout) -> FloatArray | None:
    """The rate of every depth group, then of every parameter group with a rate of its own.

    Args:
        controls: shape (..., columns).
        layout: how many groups there are.

    Returns:
        Shape (..., n_depths + n_groups): ``rate * layer_decay ** (n_depths - 1 - g)``, 0 but for the last depth group
        where frozen, to 44 bits of mantissa; None where the controls have no such columns.

    Raises:
        InvalidInput: the controls have rates of more parameter groups.
    """
    if controls.shape[-1] <= Column.LAYER_DECAY:
        return None
    _, n_depths, n_groups = layout
    below = np.arange(n_depths - 1, -1, -1)
    rate = controls[..., Column.RATE, None]
    rates: FloatArray = rate * controls[..., Column.LAYER_DECAY, None] ** below
    if controls.shape[-1] > Column.FROZEN:
        rates = np.where((controls[..., Column.FROZEN, None] > 0) & (below > 0), 0.0, rates)
    own = controls[..., len(Column) :]
    if own.shape[-1] > n_groups:
        raise InvalidInput(
            f"a schedule's `groups` are the recipe's, `train.groups` (got {own.shape[-1]} of {n_groups})"
        )
    if n_groups:
        own = np.where(own == OWN, rate, own)
        rest = np.broadcast_to(rate, (*rate.shape[:-1], n_groups - own.shape[-1]))
        rates = np.concatenate([rates, own, rest], axis=-1)
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
