"""The rates of a torch optimiser's parameter groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidInput
from ..schedules import Schedule


def require_groups(optimizer: Any, schedule: Schedule) -> None:
    """Raise InvalidInput where the optimiser's parameter groups are not those that the schedule has rates for.

    Groups with schedules of their own are known by their ``"name"``. All others get one rate, so they may not have been
    given different ones: that would be undone.
    """
    own, groups = dict(schedule.groups), optimizer.param_groups
    if missing := sorted(own.keys() - {group.get("name") for group in groups}):
        raise InvalidInput(
            f"the schedule has a rate of its own for the parameter group {', '.join(missing)}: give the optimiser "
            f'`{{"params": ..., "name": "{missing[0]}"}}`',
            field="groups",
        )
    rates = [float(group.get("initial_lr", group["lr"])) for group in groups if group.get("name") not in own]
    if len(set(rates)) > 1:
        raise InvalidInput(
            f"the callback sets one rate for all parameters, and the parameter groups have different lr (got {rates}): "
            "give them one lr, or use `trial.schedule.to_torch(optimizer, multipliers=...)` in a loop of your own",
            field="lr",
        )


def set_rates(optimizer: Any, rates: Mapping[str | None, float]) -> None:
    """Give every group its rate by its name, else the one under None; in place where it is a tensor."""
    for group in optimizer.param_groups:
        rate = rates.get(group.get("name"), rates[None])
        if hasattr(group["lr"], "fill_"):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
