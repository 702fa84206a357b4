"""One rate for all parameter groups of a torch optimiser."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidInput


def require_one_rate(optimizer: Any) -> None:
    """Raise InvalidInput where the groups were given different rates: one for all would undo that."""
    rates = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
    if len(set(rates)) > 1:
        raise InvalidInput(
            f"the callback sets one rate for all parameters, and the parameter groups have different lr (got {rates}): "
            "give them one lr, or use `trial.schedule.to_torch(optimizer, multipliers=...)` in a loop of your own",
            field="lr",
        )


def set_rate(optimizer: Any, rate: float) -> None:
    """Give every group the rate, in place where it is a tensor."""
    for group in optimizer.param_groups:
        if hasattr(group["lr"], "fill_"):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def require_one_process(n_processes: int) -> None:
    """Raise InvalidInput where several processes train together: each would report for itself."""
    if n_processes > 1:
        raise InvalidInput(
            f"a trial is trained by one process (got {n_processes}): each of several would report on its own",
            field="world_size",
        )
