"""PyTorch: a ``LambdaLR`` over a schedule, and the same as text that runs without lrsearch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidInput
from ..schedules import Schedule
from .heading import heading
from .target import GROUPS, MOMENTUM, ExportContext, ExportTarget
from .torch_source import ONCE_AN_UPDATE, sets_the_rate, torch_source

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR

BLOCK = 1024
"""Rates are computed this many at a time."""


@lru_cache(maxsize=64)
def _block(schedule: Schedule, updates_per_epoch: int | None, number: int) -> tuple[float, ...]:
    first = number * BLOCK
    return tuple(schedule.lr(np.arange(first, first + BLOCK), updates_per_epoch).tolist())


@lru_cache(maxsize=64)
def _momentum_block(schedule: Schedule, updates_per_epoch: int | None, number: int) -> tuple[float, ...]:
    first = number * BLOCK
    momentum = schedule.momentum(np.arange(first, first + BLOCK), updates_per_epoch)
    assert momentum is not None
    return tuple(momentum.tolist())


def rate(schedule: Schedule, updates_per_epoch: int | None, update: int) -> float:
    """``schedule.lr(update, updates_per_epoch)``, fast for one update after the other; a partial of it pickles."""
    number, offset = divmod(update, BLOCK)
    return _block(schedule, updates_per_epoch, number)[offset]


def to_torch(
    schedule: Schedule,
    optimizer: Optimizer,
    *,
    updates_per_epoch: int | None = None,
    multipliers: Sequence[float] | None = None,
    start_update: int = 0,
) -> LambdaLR:
    """``Schedule.to_torch``: see there.

    ``LambdaLR`` multiplies each group's ``initial_lr`` with the function's value, so the group's multiplier is put
    there, and the function gives the rate itself.
    """
    import torch
    from torch.optim.lr_scheduler import LambdaLR

    schedule.clock(updates_per_epoch)
    if schedule.METRIC_DRIVEN:
        raise InvalidInput(
            f"a LambdaLR knows the update, not what is measured: step torch's ReduceLROnPlateau, or export what "
            f"{schedule.family} did in a trial",
            field="family",
        )
    beyond = [name for name in schedule.wider if name not in MOMENTUM | GROUPS]
    if beyond:
        raise InvalidInput(
            f"one scheduler cannot do `{'`, `'.join(beyond)}`: build the parameter groups, or the second optimiser, "
            "and set what `lrsearch.schedules.controls` says",
            field=beyond[0],
        )
    if isinstance(start_update, bool) or not isinstance(start_update, int) or start_update < 0:
        raise InvalidInput(
            f"`start_update` is the number of updates done so far, a whole number >= 0 (got {start_update!r})",
            field="start_update",
        )
    seen: set[int] = set()
    rates: list[Callable[[int], float]] = [
        partial(rate, own, updates_per_epoch) for own in _by_group(schedule, optimizer, multipliers)
    ]
    factors = [1.0] * len(rates) if schedule.groups else _multipliers(optimizer, multipliers)
    for group, multiplier in zip(optimizer.param_groups, factors, strict=True):
        if isinstance(group["lr"], torch.Tensor):
            if id(group["lr"]) in seen:  # groups that share one tensor would all get the last group's rate
                group["lr"] = group["lr"].clone()
            seen.add(id(group["lr"]))
        group["initial_lr"] = multiplier
    kind = LambdaLR
    if not MOMENTUM.isdisjoint(schedule.wider):

        class MomentumLR(LambdaLR):
            """A LambdaLR that sets the momentum as well."""

            def get_lr(self) -> list[float | torch.Tensor]:
                set_momentum(self.optimizer, _momenta(schedule, updates_per_epoch, self.last_epoch))
                return super().get_lr()

        kind = MomentumLR
    return kind(optimizer, rates, last_epoch=start_update - 1)


def _by_group(schedule: Schedule, optimizer: Optimizer, multipliers: Sequence[float] | None) -> list[Schedule]:
    """The schedule of each of an optimiser's parameter groups: by its ``"name"``, else the whole one."""
    own: dict[Any, Schedule] = dict(schedule.groups)
    names = [group.get("name") for group in optimizer.param_groups]
    missing = sorted(own.keys() - set(names))
    if missing:
        raise InvalidInput(
            f"the schedule has rates of its own for the parameter groups {', '.join(own)}, which are known by their "
            f'"name": `{{"params": ..., "name": "{missing[0]}"}}` (got {names})',
            field="groups",
        )
    if own and multipliers is not None:
        raise InvalidInput("a schedule with `groups` says every group's rate: leave `multipliers` out", field="groups")
    return [own.get(name, schedule) for name in names]


def _momenta(schedule: Schedule, updates_per_epoch: int | None, update: int) -> float:
    number, offset = divmod(update, BLOCK)
    return _momentum_block(schedule, updates_per_epoch, number)[offset]


def set_momentum(optimizer: Optimizer, momentum: float) -> None:
    """Give every parameter group a momentum: ``momentum``, or the first of ``betas``.

    Raises:
        InvalidInput: the optimiser keeps none.
    """
    for group in optimizer.param_groups:
        if "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        elif "momentum" in group:
            group["momentum"] = momentum
        else:
            raise InvalidInput(
                f"the schedule moves the momentum, and {type(optimizer).__name__} has none", field="momentum_at_peak"
            )


def _multipliers(optimizer: Optimizer, multipliers: Sequence[float] | None) -> list[float]:
    groups = optimizer.param_groups
    if multipliers is None:
        rates = [float(group["lr"]) for group in groups]
        if len(set(rates)) > 1:
            raise InvalidInput(
                f"the schedule sets the rate, and the parameter groups have different lr (got {rates}): say how they "
                "differ with one factor a group, like `multipliers=[1.0, 0.1]`",
                field="multipliers",
            )
        return [1.0] * len(groups)
    factors = [float(multiplier) for multiplier in multipliers]
    if len(factors) != len(groups) or not all(0 <= factor < float("inf") for factor in factors):
        raise InvalidInput(
            f"`multipliers` holds one finite factor >= 0 for each of the {len(groups)} parameter groups "
            f"(got {factors})",
            field="multipliers",
        )
    return factors


TEMPLATE = '''\
{heading}
{imports}

{source}


model = torch.nn.Linear(2, 1)  # your model here
optimizer = {optimizer}
scheduler = make_scheduler(optimizer)


def update(loss):
    """One optimiser update; the scheduler moves once with it. Call it for every loss of your training loop."""
    optimizer.zero_grad()
    loss.backward()
{clip}    optimizer.step()
    scheduler.step()
'''


def write(schedule: Schedule, context: ExportContext) -> str:
    """A self-contained module: constants, ``lr(update)``, optimiser, scheduler, one update."""
    source = torch_source(schedule, context)
    clip_norm = context.recipe.get("clip_norm")
    once_an_epoch = "Stepping once an epoch? Export with updates_per_epoch=1." if schedule.epochs is not None else ""
    return TEMPLATE.format(
        heading=heading(schedule, context, "PyTorch", *sets_the_rate(schedule), f"{ONCE_AN_UPDATE} {once_an_epoch}"),
        imports=source.imports,
        source=source.text,
        optimizer=source.optimizer,
        clip=f"    torch.nn.utils.clip_grad_norm_(model.parameters(), {clip_norm!r})\n" if clip_norm else "",
    )


TORCH = ExportTarget(
    "torch", "PyTorch code: optimiser, LambdaLR, closed form", "text/x-python", True, write, MOMENTUM | GROUPS
)
