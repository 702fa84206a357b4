"""Ranger for a model that is trained alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from ..study import Ranger
from .stacked import StackedRanger


class LoneRanger(torch.optim.Optimizer):
    """``StackedRanger`` with one lane, as a ``torch.optim.Optimizer``.

    Args:
        parameters: what is trained.
        lr: the rate, until a program sets another.
        settings: fields of ``study.Ranger``.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float, **settings: Any) -> None:
        self._stacked = StackedRanger(Ranger(**settings), [])
        super().__init__(parameters, {"lr": lr, "betas": self._stacked.spec.betas})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # nobody's closure is called
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            moved = group["betas"][0] if group["betas"] != self._stacked.spec.betas else None
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    fresh = self._stacked.fresh(parameter.detach()[None])
                    state.update(step=torch.tensor(0.0), **{name: moment[0] for name, moment in fresh.items()})
                state["step"] += 1
                moments = {name: moment[None] for name, moment in state.items() if name != "step"}
                rates = parameter.new_full((1,) * (parameter.ndim + 1), group["lr"])
                momentum = None if moved is None else torch.full_like(rates, moved)
                count, gradient = int(state["step"]), parameter.grad[None]
                self._stacked.update(count, parameter[None], gradient, rates, moments, momentum=momentum)
