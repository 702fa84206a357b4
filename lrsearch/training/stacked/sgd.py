"""Stochastic gradient descent over stacked tensors."""

from __future__ import annotations

import torch

from ...study import Sgd
from .optimizer import Moments, StackedOptimizer

MOMENTUM = "momentum_buffer"


class StackedSgd(StackedOptimizer[Sgd]):
    """``torch.optim.SGD``: ``b <- momentum b + (1 - dampening) g`` (at first ``b = g``), ``p <- p - rate b``.

    ``g`` is the gradient plus ``weight_decay p``; with ``nesterov`` the step is ``g + momentum b`` instead of ``b``.
    """

    def fresh(self, parameter: torch.Tensor) -> Moments:
        """A buffer where there is momentum."""
        return {MOMENTUM: torch.zeros_like(parameter)} if self.spec.momentum else {}

    def update(
        self,
        count: int,
        parameter: torch.Tensor,
        gradient: torch.Tensor,
        rates: torch.Tensor,
        moments: Moments,
        *,
        momentum: torch.Tensor | None = None,
    ) -> None:
        """As ``StackedOptimizer.update``."""
        if self.spec.weight_decay:
            gradient = gradient.add(parameter, alpha=self.spec.weight_decay)
        if momentum is not None:
            buffer = moments[MOMENTUM]
            if count == 1:
                buffer.copy_(gradient)
            else:
                buffer.mul_(momentum).add_(gradient, alpha=1 - self.spec.dampening)
            gradient = gradient + buffer * momentum if self.spec.nesterov else buffer
        elif self.spec.momentum:
            buffer = moments[MOMENTUM]
            if not self.spec.dampening:
                torch.add(gradient, buffer, alpha=self.spec.momentum, out=buffer)
            elif count == 1:
                buffer.copy_(gradient)
            else:
                buffer.mul_(self.spec.momentum).add_(gradient, alpha=1 - self.spec.dampening)
            gradient = gradient.add(buffer, alpha=self.spec.momentum) if self.spec.nesterov else buffer
        parameter.addcmul_(gradient, rates, value=-1)
