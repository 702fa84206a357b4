"""Adam and AdamW over stacked tensors."""

from __future__ import annotations

import torch

from ...study import Adam
from .optimizer import Moments, StackedOptimizer, power

FIRST, SECOND, LARGEST, COUNT = "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"
WIDTH = 16
"""Lanes' rows are filled up to a multiple of this many numbers, the widest vector register's.

Torch's fused kernel rounds the numbers that are left over at a tensor's end in another way, and which lane they belong
to must not matter. Parameters whose lanes have such a size are not copied.
"""


class StackedAdam(StackedOptimizer[Adam]):
    """``torch.optim.Adam`` (Kingma & Ba, arXiv 1412.6980), after ``t`` updates::

        m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2
        p <- p - rate * m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

    ``g`` is the gradient plus ``weight_decay p``; with ``amsgrad`` the largest ``v`` so far takes the place of ``v``.

    Torch's fused kernel makes a step of rate 1 from zero, which every lane multiplies with its own rate: three passes
    over memory, of which the kernel reads and writes most. Moments are rows of (lanes, size filled up to ``WIDTH``).
    The count of updates lies on the device, so that the update may be captured in a graph.
    """

    def fresh(self, parameter: torch.Tensor) -> Moments:
        """Both moments, the largest second one where it is asked for, and the count, of shape ()."""
        lanes = len(parameter)
        shape = (lanes, -(-parameter.numel() // lanes // WIDTH) * WIDTH)
        names = (FIRST, SECOND, LARGEST) if self.spec.amsgrad else (FIRST, SECOND)
        moments = {name: parameter.new_zeros(shape) for name in names}
        return {**moments, COUNT: torch.zeros((), dtype=torch.float32, device=parameter.device)}

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
        if momentum is not None:
            parameter.addcmul_(self.moved(count, parameter, gradient, moments, momentum), rates)
            return
        first, size = moments[FIRST], parameter[0].numel()
        step = self.scratch("step", first)
        self.begin(step[:, :size].view(parameter.shape), parameter)
        torch._fused_adam_(
            [step],
            [self.rows(parameter, gradient, first)],
            [first],
            [moments[SECOND]],
            [moments[LARGEST]] if self.spec.amsgrad else [],
            [moments[COUNT].add_(1)],
            lr=1.0,
            beta1=self.spec.betas[0],
            beta2=self.spec.betas[1],
            weight_decay=0.0,
            eps=self.spec.eps,
            amsgrad=self.spec.amsgrad,
            maximize=False,
        )
        parameter.addcmul_(step[:, :size].view(parameter.shape), rates)

    def moved(
        self,
        count: int,
        parameter: torch.Tensor,
        gradient: torch.Tensor,
        moments: Moments,
        momentum: torch.Tensor,
    ) -> torch.Tensor:
        """The step of rate 1 with a b1 for every lane: torch's kernel has one for all."""
        first, second, size = moments[FIRST], moments[SECOND], parameter[0].numel()
        moments[COUNT].add_(1)
        kept, rows = momentum.reshape(-1, 1), self.rows(parameter, gradient, first)
        first.mul_(kept).add_(rows * (1 - kept))
        second.mul_(self.spec.betas[1]).add_((rows * rows).mul_(1 - self.spec.betas[1]))
        if self.spec.amsgrad:
            second = torch.maximum(moments[LARGEST], second, out=moments[LARGEST])
        below = (second / (1 - self.spec.betas[1] ** count)).sqrt_().add_(self.spec.eps)
        step = first / (1 - power(kept, count)) / below
        towards = self.scratch("step", first)[:, :size].view(parameter.shape)
        self.begin(towards, parameter)
        return towards.sub_(step[:, :size].view(parameter.shape))

    def coupled_decay(self) -> float:
        """The weight decay that joins the gradient."""
        return self.spec.weight_decay

    def begin(self, step: torch.Tensor, parameter: torch.Tensor) -> None:
        """Write what the kernel adds its step to: here zeros."""
        step.zero_()

    def rows(self, parameter: torch.Tensor, gradient: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """The gradient with the weight decay that joins it, in rows like those of a moment."""
        decay = self.coupled_decay()
        if not decay and gradient.is_contiguous() and gradient.numel() == like.numel():
            return gradient.view(like.shape)
        filled = self.scratch("gradient", like)
        view = filled[:, : gradient[0].numel()].view(gradient.shape)
        if decay:
            torch.add(gradient, parameter, alpha=decay, out=view)
        else:
            view.copy_(gradient)
        return filled


class StackedAdamW(StackedAdam):
    """``torch.optim.AdamW`` (Loshchilov & Hutter, arXiv 1711.05101): weight decay leaves the gradient alone.

    ``p <- (1 - rate weight_decay) p`` comes first, here as a part of the step.
    """

    def coupled_decay(self) -> float:
        """None."""
        return 0.0

    def begin(self, step: torch.Tensor, parameter: torch.Tensor) -> None:
        """Write ``-weight_decay p``."""
        torch.mul(parameter, -self.spec.weight_decay, out=step)
