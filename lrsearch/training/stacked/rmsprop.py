"""RMSprop over stacked tensors."""

from __future__ import annotations

import torch

from ...study import Rmsprop
from .optimizer import Moments, StackedOptimizer

SQUARES, MEAN, MOMENTUM = "square_avg", "grad_avg", "momentum_buffer"


class StackedRmsprop(StackedOptimizer[Rmsprop]):
    """``torch.optim.RMSprop`` (Tieleman & Hinton, Coursera lecture 6.5, 2012)::

        v <- alpha v + (1 - alpha) g^2      p <- p - rate g / (sqrt(v) + eps)

    ``g`` is the gradient plus ``weight_decay p``. With ``centered`` the square of the gradient's running mean is taken
    from ``v`` under the root; with ``momentum`` the step is ``b <- momentum b + g / (sqrt(v) + eps)``.
    """

    def fresh(self, parameter: torch.Tensor) -> Moments:
        """The mean square, and what the settings ask for besides."""
        names = [SQUARES, *[MEAN] * self.spec.centered, *[MOMENTUM] * (self.spec.momentum > 0)]
        return {name: torch.zeros_like(parameter) for name in names}

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
        squares = moments[SQUARES]
        if self.spec.weight_decay:
            gradient = gradient.add(parameter, alpha=self.spec.weight_decay)
        squares.mul_(self.spec.alpha).addcmul_(gradient, gradient, value=1 - self.spec.alpha)
        if self.spec.centered:
            mean = moments[MEAN].lerp_(gradient, 1 - self.spec.alpha)
            step = squares.addcmul(mean, mean, value=-1).sqrt_()
        else:
            step = squares.sqrt()
        torch.div(gradient, step.add_(self.spec.eps), out=step)
        if self.spec.momentum:
            step = moments[MOMENTUM].mul_(self.spec.momentum if momentum is None else momentum).add_(step)
        parameter.addcmul_(step, rates, value=-1)
