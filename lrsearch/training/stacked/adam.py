"""Adam and AdamW over stacked tensors."""

from __future__ import annotations

import math

import torch

from ...study import Adam
from .optimizer import Moments, StackedOptimizer

FIRST, SECOND, LARGEST = "exp_avg", "exp_avg_sq", "max_exp_avg_sq"


class StackedAdam(StackedOptimizer[Adam]):
    """``torch.optim.Adam`` (Kingma & Ba, arXiv 1412.6980), after ``t`` updates::

        m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2
        p <- p - rate c / (1 - b1^t) * m / (sqrt(v) + eps c)      c = sqrt(1 - b2^t)

    ``g`` is the gradient plus ``weight_decay p``; with ``amsgrad`` the largest ``v`` so far takes the place of ``v``.
    """

    def fresh(self, parameter: torch.Tensor) -> Moments:
        """Both moments, and the largest second one where it is asked for."""
        names = (FIRST, SECOND, LARGEST) if self.spec.amsgrad else (FIRST, SECOND)
        return {name: torch.zeros_like(parameter) for name in names}

    def update(
        self, count: int, parameter: torch.Tensor, gradient: torch.Tensor, rates: torch.Tensor, moments: Moments
    ) -> None:
        """As ``StackedOptimizer.update``."""
        first, second = moments[FIRST], moments[SECOND]
        gradient = self.decayed(parameter, gradient, rates)
        first.lerp_(gradient, 1 - self.spec.betas[0])
        second.mul_(self.spec.betas[1]).addcmul_(gradient, gradient, value=1 - self.spec.betas[1])
        if self.spec.amsgrad:
            second = torch.maximum(moments[LARGEST], second, out=moments[LARGEST])
        correction = math.sqrt(1 - self.spec.betas[1] ** count)
        step = second.sqrt().add_(self.spec.eps * correction)
        torch.div(first, step, out=step)
        parameter.addcmul_(step, rates * (correction / (1 - self.spec.betas[0] ** count)), value=-1)

    def decayed(self, parameter: torch.Tensor, gradient: torch.Tensor, rates: torch.Tensor) -> torch.Tensor:
        """The gradient to go on with: here weight decay joins it."""
        return gradient.add(parameter, alpha=self.spec.weight_decay) if self.spec.weight_decay else gradient


class StackedAdamW(StackedAdam):
    """``torch.optim.AdamW`` (Loshchilov & Hutter, arXiv 1711.05101): ``p <- (1 - rate weight_decay) p`` comes first."""

    def decayed(self, parameter: torch.Tensor, gradient: torch.Tensor, rates: torch.Tensor) -> torch.Tensor:
        """The gradient as it is; the weights shrink instead."""
        if self.spec.weight_decay:
            parameter.mul_(1 - rates * self.spec.weight_decay)
        return gradient
