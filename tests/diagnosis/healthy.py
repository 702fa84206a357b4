"""Twelve trainings that look a little like a failure that they are not: what is said of each.

They were written before the rules that they look like were widened. Two of them learn all there is to learn early, and
are told that they could have ended there: a plateau, and no overfitting.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from torch import Tensor, nn
from torch.nn import functional

from .blind import Factors, LastState, Records, alone, bars, drawn, falling, pulses, trained


def _digits(n: int) -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images[:n] / 16, dtype=torch.float32), torch.tensor(labels[:n])


def _mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _by_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor],
    loss_of: Callable[..., Tensor], epochs: int, size: int,
) -> Records:  # fmt: skip
    records: Records = []
    for epoch in range(1, epochs + 1):
        losses = []
        for chosen in torch.randperm(len(train[0])).split(size):
            optimizer.zero_grad()
            loss = loss_of(model(train[0][chosen]), train[1][chosen])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            validation = loss_of(model(val[0]), val[1]).item()
        records.append({"epoch": epoch, "metrics": {"train_loss": sum(losses) / len(losses), "val_loss": validation}})
    return records


def one_example_at_a_time() -> Records:
    """A single example leaves half of the ReLU units without gradient, others in every update."""
    with alone(21):
        inputs, targets = _digits(600)
        model = _mlp(64, 48, 32, 10)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
        return trained(model, optimizer, functional.cross_entropy, drawn(inputs, targets, 1, 1500))


def pairs() -> Records:
    """Batches of two: a noisy loss, and many units that neither example reaches."""
    with alone(22):
        inputs, targets = _digits(600)
        model = _mlp(64, 64, 10)
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        return trained(model, optimizer, functional.cross_entropy, drawn(inputs, targets, 2, 900), falling(2e-3, 900))


def some_units_off() -> Records:
    """A third of the first layer's units never fire, and the others are more than enough."""
    with alone(23):
        inputs, targets = _digits(1000)
        model = _mlp(64, 90, 10)
        first = model[0]
        assert isinstance(first, nn.Linear)
        with torch.no_grad():
            first.bias[:30] = -20.0
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        return trained(model, optimizer, functional.cross_entropy, drawn(inputs, targets, 64, 300), falling(1e-3, 300))


def sparse_convolutions() -> Records:
    """Convolutions with biases a little below zero: sparse, but every channel is used somewhere."""
    with alone(24):
        inputs, targets = pulses(768)
        model = nn.Sequential(
            nn.Conv1d(1, 12, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(12, 24, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(4),
            nn.Flatten(),
            nn.Linear(96, 3),
        )
        for layer in (model[0], model[2]):
            assert isinstance(layer, nn.Conv1d)
            assert layer.bias is not None
            nn.init.constant_(layer.bias, -0.1)
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        return trained(model, optimizer, functional.cross_entropy, drawn(inputs, targets, 64, 300), falling(5e-3, 300))


def dropped_out() -> Records:
    """Half of a wide layer is dropped in every update, another half each time."""
    with alone(25):
        inputs, targets = _digits(1000)
        model = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Dropout(0.5), nn.Linear(96, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        return trained(model, optimizer, functional.cross_entropy, drawn(inputs, targets, 16, 400), falling(3e-3, 400))


def a_bump_after_the_warm_up() -> Records:
    """The peak of a proper warm-up costs a little, once, and nothing is lost by it."""
    with alone(26):
        inputs = torch.rand(1024, 3) * 4 - 2
        targets = (torch.sin(2 * inputs[:, :1]) + inputs[:, 1:2] * torch.cos(inputs[:, 2:])) * 1.5
        model = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        batches = drawn(inputs, targets, 64, 500)
        return trained(
            model, optimizer, functional.mse_loss, batches, lambda n: 0.1 * min((n + 1) / 50, (50 / (n + 1)) ** 0.5)
        )


def noisy_and_constant() -> Records:
    """Regression in batches of four: the loss jumps about and falls all the same."""
    with alone(27):
        inputs = torch.randn(512, 8)
        targets = (inputs @ torch.randn(8, 1) + 0.3 * torch.randn(512, 1)) / 2
        model = _mlp(8, 32, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
        return trained(model, optimizer, functional.mse_loss, drawn(inputs, targets, 4, 800))


def remembered() -> Records:
    """A GRU sums what it saw, with a short warm-up and a cosine."""
    with alone(28):
        inputs = torch.randn(768, 12, 1)
        model = LastState(nn.GRU(1, 16, batch_first=True), 1)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        batches = drawn(inputs, inputs.mean(1) * 3, 32, 240)
        cosine = falling(1e-2, 240)
        return trained(
            model, optimizer, functional.mse_loss, batches, lambda n: cosine(n) * min(1.0, (n + 1) / 12), clip=1.0
        )


def validation_that_wavers() -> Records:
    """Few patients are held out: the validation loss is lowest by chance, early, and wavers about that to the end."""
    with alone(29):
        table, kinds = load_breast_cancer(return_X_y=True)
        inputs = torch.tensor(table, dtype=torch.float32)
        inputs = (inputs - inputs.mean(0)) / inputs.std(0)
        targets = torch.tensor(kinds)
        order = torch.randperm(len(inputs))
        known, held = order[:480], order[480:]
        model = nn.Sequential(nn.Linear(30, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, weight_decay=0.01)
        sides = [(inputs[part], targets[part]) for part in (known, held)]
        return _by_epoch(model, optimizer, *sides, functional.cross_entropy, 40, 8)


def validation_that_stays() -> Records:
    """What can be told of an illness's course is soon learnt; the rest of the fall is the training examples' own."""
    with alone(30):
        table, courses = load_diabetes(return_X_y=True)
        inputs = torch.tensor(table * 21, dtype=torch.float32)
        targets = torch.tensor((courses - courses.mean()) / courses.std(), dtype=torch.float32)[:, None]
        order = torch.randperm(len(inputs))
        sides = [(inputs[part], targets[part]) for part in (order[:340], order[340:])]
        model = _mlp(10, 16, 1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
        return _by_epoch(model, optimizer, *sides, functional.mse_loss, 40, 16)


def ratings_regularised() -> Records:
    """The ratings that were learnt by heart, with weights held small: validation falls to the end, slowly."""
    with alone(31):
        pairs = torch.cartesian_prod(torch.arange(60), torch.arange(40))
        ratings = (torch.randn(60, 2) @ torch.randn(2, 40)).flatten() + 0.3 * torch.randn(2400)
        order = torch.randperm(2400)
        sides = [(pairs[part], ratings[part]) for part in (order[:1800], order[1800:])]
        model = Factors(60, 40, 3, 0.3)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=1e-3)
        return _by_epoch(model, optimizer, *sides, functional.mse_loss, 30, 100)


def high_at_once() -> Records:
    """No warm-up, a high rate and momentum, on a net with batch norm that bears it: the loss falls from the start."""
    with alone(32):
        inputs, targets = bars(1024)
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(648, 4)
        )
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        return trained(model, optimizer, functional.cross_entropy, drawn(inputs, targets, 64, 200), falling(0.05, 200))


CASES: dict[Callable[[], Records], str] = {
    one_example_at_a_time: "healthy",
    pairs: "healthy",
    some_units_off: "healthy",
    sparse_convolutions: "healthy",
    dropped_out: "healthy",
    a_bump_after_the_warm_up: "healthy",
    noisy_and_constant: "healthy",
    remembered: "healthy",
    validation_that_wavers: "plateau",
    validation_that_stays: "plateau",
    ratings_regularised: "healthy",
    high_at_once: "healthy",
}
