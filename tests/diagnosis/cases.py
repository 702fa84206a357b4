"""Small trainings that fail for a known reason, each really trained: name -> records of every update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from lrsearch import Recorder
from lrsearch.tasks.digits import digits

Records = list[dict[str, Any]]
Rate = Callable[[int], float]
UPDATES = 400


def data(n: int = 1197) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, targets = digits().train
    return torch.tensor(inputs[:n]).flatten(1), torch.tensor(targets[:n])


def batches(inputs: torch.Tensor, targets: torch.Tensor, n_updates: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    order = torch.Generator().manual_seed(0)
    for _ in range(n_updates):
        chosen = torch.randint(len(inputs), (64,), generator=order)
        yield inputs[chosen], targets[chosen]


def mlp(*sizes: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers[:-1])


def trained(
    model: nn.Module,
    rate: float | Rate,
    *,
    n_updates: int = UPDATES,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
    pairs: Iterator[tuple[torch.Tensor, torch.Tensor]] | None = None,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = cross_entropy,
    **settings: Any,
) -> Records:
    steps = optimizer(model.parameters(), lr=1.0, **settings)
    recorder = Recorder(model, steps)
    for update, (inputs, targets) in enumerate(pairs or batches(*data(), n_updates)):
        steps.param_groups[0]["lr"] = rate(update) if callable(rate) else rate
        steps.zero_grad()
        loss = loss_of(model(inputs), targets)
        loss.backward()
        with recorder.update(loss):
            steps.step()
        if not math.isfinite(loss.item()) and update < n_updates - 5:
            break
    return recorder.records


def healthy() -> Records:
    return trained(mlp(64, 64, 32, 10), 1e-2, optimizer=torch.optim.Adam)


def healthy_sgd_with_warm_up_and_decay() -> Records:
    def rate(update: int) -> float:
        return 0.2 * min(1, (update + 1) / 40) * (1 + math.cos(math.pi * update / UPDATES)) / 2

    return trained(mlp(64, 64, 32, 10), rate, momentum=0.9)


def rate_far_too_high() -> Records:
    inputs, _ = data()
    pairs = batches(inputs, inputs.sum(dim=1, keepdim=True), UPDATES)
    return trained(mlp(64, 1), 0.2, pairs=pairs, loss_of=mse_loss)


def rate_too_high_but_bounded() -> Records:
    return trained(mlp(64, 64, 32, 10), 1.0, optimizer=torch.optim.Adam)


def rate_too_low() -> Records:
    return trained(mlp(64, 64, 32, 10), 1e-4)


def no_warm_up_at_a_high_rate() -> Records:
    return trained(mlp(64, 128, 128, 10), lambda update: 0.5 * (1 - update / UPDATES), momentum=0.9)


def deep_sigmoid() -> Records:
    return trained(mlp(64, *[32] * 8, 10, activation=nn.Sigmoid), 0.1)


def bad_initial_weights() -> Records:
    model = mlp(64, *[64] * 5, 10)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)
    return trained(model, 1e-4)


def dead_relu() -> Records:
    model = mlp(64, 64, 32, 10)
    with torch.no_grad():
        model[0].bias.fill_(-20)
    return trained(model, 0.1)


def bad_batch() -> Records:
    pairs = list(batches(*data(), UPDATES))
    for at in (180, 300):
        pairs[at] = (pairs[at][0] * 40, pairs[at][1])
    return trained(mlp(64, 64, 32, 10), 1e-3, optimizer=torch.optim.Adam, pairs=iter(pairs))


def rate_decays_too_soon() -> Records:
    return trained(mlp(64, 64, 32, 10), lambda update: 0.3 * 0.1 ** (update // 60))


def nan_in_the_data() -> Records:
    pairs = list(batches(*data(), UPDATES))
    pairs[150] = (pairs[150][0].clone(), pairs[150][1])
    pairs[150][0][3, 7] = math.nan
    return trained(mlp(64, 64, 32, 10), 0.1, pairs=iter(pairs))


def division_by_zero() -> Records:
    def loss_of(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean of the classes' losses, each weighted by one over how often it occurs."""
        of_class = [cross_entropy(outputs[targets == c], targets[targets == c], reduction="sum") for c in range(10)]
        counts = [(targets == c).sum() for c in range(10)]
        return sum(loss / count for loss, count in zip(of_class, counts, strict=True)) / 10

    inputs, targets = data()
    some = batches(inputs, targets, UPDATES)
    pairs = [
        pair if update != 120 else (pair[0][pair[1] != 4], pair[1][pair[1] != 4]) for update, pair in enumerate(some)
    ]
    return trained(mlp(64, 64, 32, 10), 0.1, pairs=iter(pairs), loss_of=loss_of)


CASES: Mapping[Callable[[], Records], str] = MappingProxyType(
    {
        healthy: "healthy",
        healthy_sgd_with_warm_up_and_decay: "healthy",
        rate_far_too_high: "diverged",
        rate_too_high_but_bounded: "rate-too-high",
        rate_too_low: "rate-too-low",
        no_warm_up_at_a_high_rate: "warm-up-too-short",
        deep_sigmoid: "vanishing-gradients",
        bad_initial_weights: "exploding-gradients",
        dead_relu: "dead-units",
        bad_batch: "loss-spikes",
        rate_decays_too_soon: "plateau",
        nan_in_the_data: "not-finite",
        division_by_zero: "not-finite",
    }
)
"""Each made failure, and the verdict that names it."""
