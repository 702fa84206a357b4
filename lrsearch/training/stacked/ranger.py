"""Ranger over stacked tensors: RAdam, Lookahead and gradient centralisation."""

from __future__ import annotations

import math

import torch

from ...study import Ranger
from .optimizer import Moments, StackedOptimizer, power

FIRST, SECOND, SLOW = "exp_avg", "exp_avg_sq", "slow_buffer"
RECTIFIED_FROM = 5
"""The least length of the simple moving average whose variance is rectified; below it steps are not adaptive."""


class StackedRanger(StackedOptimizer[Ranger]):
    """``pytorch_optimizer.Ranger``, after ``t`` updates::

        g <- g - mean of g over all axes but the first     where a parameter has two axes or more
        p <- (1 - rate weight_decay) p
        m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2
        p <- p - rate r / (1 - b1^t) * m / (sqrt(v) + eps)
        s <- s + alpha (p - s), p <- s                     every ``k`` updates; s begins as p

    where ``r`` rectifies (RAdam, Liu et al., arXiv 1908.03265, with ``sqrt(1 - b2^t)`` in it)::

        n = N - 2 t b2^t / (1 - b2^t)      N = 2 / (1 - b2) - 1
        r = sqrt((1 - b2^t) (n - 4) (n - 2) N / ((N - 4) (N - 2) n))

    While ``n < 5`` the step is ``rate / (1 - b1^t) m`` with ``degenerated_to_sgd``, and its negative without, as the
    library has it. Lookahead: Zhang et al., arXiv 1907.08610; centralisation: Yong et al., arXiv 2004.01461.
    """

    elementwise = False

    def fresh(self, parameter: torch.Tensor) -> Moments:
        """Both moments, and the slow weights."""
        zeros = {name: torch.zeros_like(parameter) for name in (FIRST, SECOND)}
        return {**zeros, SLOW: parameter.clone()}

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
        first, second, slow = moments[FIRST], moments[SECOND], moments[SLOW]
        if self.spec.use_gc and gradient.ndim > 2:
            gradient = gradient - mean_of_rows(gradient)
        if self.spec.weight_decay:
            parameter.mul_(1 - rates * self.spec.weight_decay)
        begun: float | torch.Tensor
        if momentum is None:
            first.lerp_(gradient, 1 - self.spec.betas[0])
            begun = 1 - self.spec.betas[0] ** count
        else:
            first.mul_(momentum).add_(gradient * (1 - momentum))
            begun = 1 - power(momentum, count)
        second.mul_(self.spec.betas[1]).addcmul_(gradient, gradient, value=1 - self.spec.betas[1])
        step, factor = first, rectification(self.spec.betas[1], count)
        if factor is not None:
            step = second.sqrt().add_(self.spec.eps)
            torch.div(first, step, out=step)
        else:
            factor = 1.0 if self.spec.degenerated_to_sgd else -1.0
        parameter.addcmul_(step, rates * (factor / begun), value=-1)
        if count % self.spec.k == 0:
            parameter.copy_(slow.lerp_(parameter, self.spec.alpha))


def rectification(beta: float, count: int) -> float | None:
    """``r`` after ``count`` updates; None while the moving average is too short."""
    longest, decayed = 2 / (1 - beta) - 1, beta**count
    length = longest - 2 * count * decayed / (1 - decayed)
    if length < RECTIFIED_FROM:
        return None
    ratio = (length - 4) / (longest - 4) * (length - 2) / length * longest / (longest - 2)
    return math.sqrt((1 - decayed) * ratio)


def mean_of_rows(tensor: torch.Tensor) -> torch.Tensor:
    """The mean over all axes but the first two, kept as axes of length 1.

    Sums are halved by elementwise additions, as ``mean`` may choose another order for another number of lanes.
    """
    sums = tensor.flatten(2)
    size = sums.shape[2]
    while sums.shape[2] > 1:
        half = sums.shape[2] // 2
        folded = sums[:, :, :half] + sums[:, :, half : 2 * half]
        if sums.shape[2] % 2:
            folded[:, :, 0] += sums[:, :, -1]
        sums = folded
    return (sums / size).reshape(*tensor.shape[:2], *[1] * (tensor.ndim - 2))
