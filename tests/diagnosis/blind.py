"""Twelve trainings, one a verdict, made to fail from the verdicts' definitions alone, before any was diagnosed.

Nothing here was fitted to the rules: a case is changed only where the training does not do what its docstring says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from sklearn.datasets import load_breast_cancer, load_diabetes
from torch import Tensor, nn
from torch.nn import functional

import lrsearch

Records = list[dict[str, Any]]
Loss = Callable[..., Tensor]
Batch = tuple[Tensor, Tensor]


@contextmanager
def alone(seed: int) -> Iterator[None]:
    """One thread and a seed, both put back afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def drawn(inputs: Tensor, targets: Tensor, size: int, updates: int) -> Iterator[Batch]:
    """Batches, every example once before any comes again."""
    done = 0
    while True:
        for chosen in torch.randperm(len(inputs)).split(size):
            if len(chosen) < size:
                continue
            if done == updates:
                return
            done += 1
            yield inputs[chosen], targets[chosen]


def trained(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Loss,
    batches: Iterable[Batch],
    rate_at: Callable[[int], float] | None = None,
    clip: float | None = None,
) -> Records:
    """A plain loop under a recorder."""
    recorder = lrsearch.Recorder(model, optimizer)
    for update, (inputs, targets) in enumerate(batches):
        if rate_at is not None:
            optimizer.param_groups[0]["lr"] = rate_at(update)
        optimizer.zero_grad()
        loss = loss_of(model(inputs), targets)
        loss.backward()
        with recorder.update(loss):
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
    return [dict(record) for record in recorder.records]


def falling(peak: float, updates: int) -> Callable[[int], float]:
    """A cosine from ``peak`` to nothing."""
    return lambda update: peak * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * update / updates))))


class LastState(nn.Module):
    """A recurrent net whose last state is read."""

    def __init__(self, net: nn.RNNBase, outputs: int) -> None:
        super().__init__()
        self.net = net
        self.read = nn.Linear(net.hidden_size, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        states: Tensor = self.net(inputs)[0]
        read: Tensor = self.read(states[:, -1])
        return read


class Factors(nn.Module):
    """A rating as the product of a user's and an item's vector."""

    def __init__(self, users: int, items: int, width: int, scale: float) -> None:
        super().__init__()
        self.users = nn.Embedding(users, width)
        self.items = nn.Embedding(items, width)
        nn.init.normal_(self.users.weight, std=scale)
        nn.init.normal_(self.items.weight, std=scale)

    def forward(self, pairs: Tensor) -> Tensor:
        return (self.users(pairs[:, 0]) * self.items(pairs[:, 1])).sum(1)


def exploding_gradients() -> Records:
    """A tanh RNN remembers the first of 50 numbers; its recurrent weights were drawn four times too large.

    Such a net is chaotic: each step back in time multiplies the gradient by more than one. States and loss are bounded
    by tanh and look ordinary; the gradient of the first batch, before any step, is many millions.
    """
    with alone(1):
        net = nn.RNN(1, 32, batch_first=True)
        nn.init.normal_(net.weight_hh_l0, std=4 / 32**0.5)
        nn.init.normal_(net.weight_ih_l0, std=0.5)
        model = LastState(net, 1)
        inputs = torch.randn(512, 50, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        return trained(model, optimizer, functional.mse_loss, drawn(inputs, inputs[:, 0], 32, 40))


def not_finite() -> Records:
    """A cross-entropy written by hand, ``t log p + (1 - t) log(1 - p)``, on tumours that are told apart with ease.

    The loss falls calmly towards zero at an ordinary rate, until one probability rounds to exactly 1 and nothing times
    the logarithm of nothing is not a number. A rate has no part in it: ``binary_cross_entropy_with_logits`` trains on.
    """

    def by_hand(logits: Tensor, targets: Tensor) -> Tensor:
        p = torch.sigmoid(logits.squeeze(1))
        return -(targets * torch.log(p) + (1 - targets) * torch.log(1 - p)).mean()

    with alone(2):
        table, kinds = load_breast_cancer(return_X_y=True)
        inputs = torch.tensor(table, dtype=torch.float32)
        inputs = (inputs - inputs.mean(0)) / inputs.std(0)
        model = nn.Sequential(nn.Linear(30, 24), nn.SiLU(), nn.Linear(24, 1))
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        targets = torch.tensor(kinds, dtype=torch.float32)
        return trained(model, optimizer, by_hand, drawn(inputs, targets, 64, 400))


def diverged() -> Records:
    """Ratings factored into users and items at a rate that grows by 2 % an update and is never brought down.

    The loss falls well, to the noise of the ratings, while the rate allows it. Two thirds on, each step overshoots by
    more than the last, and the loss leaves the finite numbers.
    """
    with alone(3):
        pairs = torch.cartesian_prod(torch.arange(40), torch.arange(30))
        ratings = (torch.randn(40, 3) @ torch.randn(3, 30)).flatten() + 0.3 * torch.randn(1200)
        model = Factors(40, 30, 6, 0.3)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        batches = drawn(pairs, ratings, 300, 250)
        return trained(model, optimizer, functional.mse_loss, batches, lambda update: 1.02**update)


def warm_up_too_short() -> Records:
    """A tanh net learns a bumpy surface with momentum; three updates of warm-up, then the inverse root of the update.

    The first tens of steps near the peak throw the read-out far away, and the loss rises to many times its best so far;
    at a ninth of the peak it never rises. The rate falls and the loss comes back: it ends well below where it began.
    """
    with alone(4):
        inputs = torch.rand(1024, 3) * 4 - 2
        targets = (torch.sin(2 * inputs[:, :1]) + inputs[:, 1:2] * torch.cos(inputs[:, 2:])) * 1.5
        model = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=1.3, momentum=0.9)
        batches = drawn(inputs, targets, 64, 500)
        return trained(
            model, optimizer, functional.smooth_l1_loss, batches, lambda n: 1.3 * min((n + 1) / 3, (3 / (n + 1)) ** 0.5)
        )


def rate_too_high() -> Records:
    """A tanh net sorts patients into thirds by how their illness went on, by SGD at a constant rate of 0.5.

    The thirds overlap, so no weights, however large, fit them all. At a 25th of the rate the loss falls below 0.8 from
    the 1.1 of guessing; at 0.5, with momentum, steps undo each other, and it stays above 1.1 on average to the end.
    """
    with alone(5):
        table, courses = load_diabetes(return_X_y=True)
        inputs = torch.tensor(table, dtype=torch.float32)
        inputs = (inputs - inputs.mean(0)) / inputs.std(0)
        course = torch.tensor(courses, dtype=torch.float32)
        targets = torch.bucketize(course, torch.quantile(course, torch.tensor([1 / 3, 2 / 3])))
        model = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
        return trained(model, optimizer, functional.cross_entropy, drawn(inputs, targets, 32, 240))


def dead_units() -> Records:
    """Pulses told by their shape, by a one-dimensional CNN whose second layer drew large, negative biases.

    They lie around -0.5 with a deviation of 1, far outside what the weights can make up for. Most of that layer's
    channels are below zero at every place of every example, first and last: ReLU passes them no gradient and more than
    half never had one in any batch, while the others learn the task.
    """
    with alone(6):
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
        second = model[2]
        assert isinstance(second, nn.Conv1d)
        assert second.bias is not None
        nn.init.normal_(second.bias, mean=-0.5, std=1.0)
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        return trained(model, optimizer, functional.cross_entropy, drawn(inputs, targets, 64, 160), falling(3e-3, 160))


def pulses(count: int) -> tuple[Tensor, Tensor]:
    """Boxes, triangles and waves somewhere in 32 noisy samples."""
    places = torch.arange(32.0)
    kinds = torch.randint(3, (count,))
    middle = torch.randint(8, 24, (count, 1))
    away = (places - middle) / 6
    shapes = torch.stack(
        [(away.abs() < 1).float(), (1 - away.abs()).clamp(min=0), torch.sin(torch.pi * away) * (away.abs() < 1)]
    )
    return (shapes[kinds, torch.arange(count)] + 0.1 * torch.randn(count, 32))[:, None], kinds


def vanishing_gradients() -> Records:
    """Bars told by their direction, by seven sigmoid convolutions in a row, as drawn by default.

    A sigmoid passes at most a quarter of a gradient, and default weights shrink it again: what reaches the first
    layers is millions of times smaller than what reaches the last, and the loss stays at the price of guessing.
    """
    with alone(7):
        inputs, targets = bars(512)
        layers: list[nn.Module] = []
        for width in (1, *[6] * 6):
            layers += [nn.Conv2d(width, 6, 3, padding=1), nn.Sigmoid()]
        model = nn.Sequential(*layers, nn.AvgPool2d(3), nn.Flatten(), nn.Linear(54, 4))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        return trained(model, optimizer, functional.cross_entropy, drawn(inputs, targets, 32, 120))


def bars(count: int) -> tuple[Tensor, Tensor]:
    """Pictures of 9 by 9 with a bar across, down or along a diagonal, in noise."""
    kinds = torch.randint(4, (count,))
    shift = torch.randint(-2, 3, (count, 1, 1))
    down, across = torch.meshgrid(torch.arange(9) - 4, torch.arange(9) - 4, indexing="ij")
    away = torch.stack([down - shift, across - shift, down - across - shift, down + across - shift])
    lit = (away[kinds, torch.arange(count)].abs() < 1).float()
    return (lit + 0.2 * torch.randn(count, 9, 9))[:, None], kinds


def loss_spikes() -> Records:
    """A GRU foretells waves at an ordinary rate with clipped gradients; five batches came from a broken sensor.

    The sensor wrote 40 for the number to be foretold. Clipping keeps the weights where they were, so the loss of the
    next batch is as low as before: five single batches tens of thousands of times above those around them.
    """
    with alone(8):
        start = torch.rand(1024, 1) * 6.28
        speed = 0.2 + 0.4 * torch.rand(1024, 1)
        waves = torch.sin(start + speed * torch.arange(11.0))
        model = LastState(nn.GRU(1, 16, batch_first=True), 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        broken = {61, 87, 109, 121, 148}
        batches = (
            (inputs, torch.full_like(targets, 40.0) if update in broken else targets)
            for update, (inputs, targets) in enumerate(drawn(waves[:, :10, None], waves[:, 10:], 32, 160))
        )
        return trained(model, optimizer, functional.mse_loss, batches, falling(0.1, 160), clip=1.0)


def rate_too_low() -> Records:
    """Bags of words sorted into six subjects, by embeddings and a small net, at a hundredth of a rate that serves.

    The loss falls a little in every stretch of the training and as fast at its end as at its beginning: it was cut off
    near the price of guessing. At a hundred times the rate the same training ends near zero.
    """
    with alone(9):
        subjects = torch.softmax(2.5 * torch.randn(6, 120), 1)
        targets = torch.randint(6, (900,))
        words = torch.multinomial(subjects[targets], 15, replacement=True)
        model = nn.Sequential(nn.EmbeddingBag(120, 24), nn.Linear(24, 32), nn.Tanh(), nn.Linear(32, 6))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0005, momentum=0.9)
        return trained(model, optimizer, functional.cross_entropy, drawn(words, targets, 60, 300))


def plateau() -> Records:
    """Half of what is to be learned is a sum of bits, the other half the parity of twelve: the second is never learned.

    The sum is learned in the first sixth, and takes half of the loss with it. Parity gives a small net nothing to
    follow, so the loss stays flat, at half of where it began, for all the rest at an ordinary, constant rate.
    """
    with alone(10):
        inputs = torch.randint(2, (4096, 12)) * 2.0 - 1
        targets = (inputs[:, :4].sum(1) / 2 + inputs.prod(1))[:, None]
        model = nn.Sequential(nn.Linear(12, 24), nn.GELU(), nn.Linear(24, 1))
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        return trained(model, optimizer, functional.mse_loss, drawn(inputs, targets, 256, 600))


def overfitting() -> Records:
    """Ratings with noise, a few a user, factored with far more numbers than there are ratings; told an epoch.

    The training loss falls towards zero to the end. The validation loss is lowest early and rises for most of the
    epochs after, as the factors learn the noise by heart.
    """
    with alone(11):
        pairs = torch.cartesian_prod(torch.arange(60), torch.arange(40))
        ratings = (torch.randn(60, 2) @ torch.randn(2, 40)).flatten() + 0.7 * torch.randn(2400)
        order = torch.randperm(2400)
        known, held = order[:700], order[700:1100]
        model = Factors(60, 40, 16, 0.3)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        records: Records = []
        for epoch in range(1, 61):
            total = 0.0
            for chosen in known[torch.randperm(700)].split(100):
                optimizer.zero_grad()
                loss = functional.mse_loss(model(pairs[chosen]), ratings[chosen])
                loss.backward()
                optimizer.step()
                total += loss.item() / 7
            with torch.no_grad():
                validation = functional.mse_loss(model(pairs[held]), ratings[held]).item()
            records.append({"epoch": epoch, "metrics": {"train_loss": total, "val_loss": validation}})
        return records


def healthy() -> Records:
    """Bars told by their direction once more, by a small CNN with batch norm, Adam and a cosine: all as it should be.

    The loss falls from the price of guessing to a few hundredths and is flat only there.
    """
    with alone(12):
        inputs, targets = bars(1024)
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.GELU(),
            nn.Conv2d(8, 12, 3, stride=2, padding=1),
            nn.BatchNorm2d(12),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(300, 4),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        return trained(model, optimizer, functional.cross_entropy, drawn(inputs, targets, 64, 160), falling(2e-3, 160))


CASES: dict[Callable[[], Records], str] = {
    exploding_gradients: "exploding-gradients",
    not_finite: "not-finite",
    diverged: "diverged",
    warm_up_too_short: "warm-up-too-short",
    rate_too_high: "rate-too-high",
    dead_units: "dead-units",
    vanishing_gradients: "vanishing-gradients",
    loss_spikes: "loss-spikes",
    rate_too_low: "rate-too-low",
    plateau: "plateau",
    overfitting: "overfitting",
    healthy: "healthy",
}
