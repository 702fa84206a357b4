"""Adagrad over stacked tensors."""

from __future__ import annotations

import torch

from ...study import Adagrad
from .optimizer import Moments, StackedOptimizer

SUM = "sum"


class StackedAdagrad(StackedOptimizer[Adagrad]):
    """``torch.optim.Adagrad`` (Duchi et al., JMLR 12, 2011): ``s <- s + g^2``, ``p <- p - rate g / (sqrt(s) + eps)``.

    ``g`` is the gradient plus ``weight_decay p``; ``s`` begins at ``initial_accumulator_value``.
    """

    def fresh(self, parameter: torch.Tensor) -> Moments:
        """The sum of squares."""
        return {SUM: torch.full_like(parameter, self.spec.initial_accumulator_value)}

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
        step = moments[SUM].addcmul_(gradient, gradient).sqrt().add_(self.spec.eps)
        torch.div(gradient, step, out=step)
        parameter.addcmul_(step, rates, value=-1)
