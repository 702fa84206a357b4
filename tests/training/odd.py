"""Tasks as people write them: what a plain loop forgives, and what neither company nor interruption may show."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import lrsearch
from lrsearch.tasks.task import Task

from .zoo import N_TRAIN, drawn

LOSS_ALONE = {"metrics": {"val_loss": "minimize"}}


def data(n=N_TRAIN, targets=None):
    """The zoo's tokens, ``n`` to train on; targets made otherwise of inputs and classes."""
    found = drawn(6, 8)
    made = targets or (lambda inputs, classes: classes)
    train = tuple(side[:n] for side in found.train)
    return lrsearch.Data(train=(train[0], made(*train)), val=(found.val[0], made(*found.val)))


class Net(nn.Module):
    """48-8-4 with two layers to spare; ``steps(self, x, hidden)`` is the rest of the forward pass."""

    def __init__(self, steps: Callable[..., Any], **kept: Any) -> None:
        super().__init__()
        self.body, self.head, self.spare, self.other = (
            nn.Linear(48, 8),
            nn.Linear(8, 4),
            nn.Linear(8, 8),
            nn.Linear(8, 8),
        )
        self.steps = steps
        for name, value in kept.items():
            setattr(self, name, value)

    def forward(self, x: torch.Tensor) -> Any:
        return self.steps(self, x)

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.body(x.flatten(1)))


def plain(self, x):
    return self.head(self.other(self.spare(self.hidden(x))))


def task(name, model, **given):
    """A task class of a model or of a forward pass."""
    steps = model if isinstance(model, type(plain)) and model.__code__.co_argcount == 2 else None
    made = (lambda self: Net(steps)) if steps else (lambda self: model())
    body = {"train_examples": N_TRAIN, "has_test": False, "data": lambda self: data(), **given}
    return type(name, (Task,), {"name": name, "model": made, "__module__": __name__, **body})


def in_place(self, x):
    x.mul_(1.5).clamp_(-1, 1)
    return plain(self, x)


def mixing(self, x):
    if self.training:
        share = np.random.beta(0.3, 0.3)
        x = share * x + (1 - share) * x[torch.randperm(len(x))]
    return plain(self, x)


def by_chance(self, x):
    noise = random.gauss(0, 0.1) if self.training else 0.0
    return plain(self, x + noise)


def by_numbers(see):
    """A forward pass that looks at the batch's numbers in its own way."""

    def steps(self, x):
        return plain(self, x) if see(x[:, 0, 0]) > 0 else -plain(self, x)

    return steps


def rarely(self, x):
    return plain(self, torch.where(x[:, :1, :1] > 0.9, self.drawn.to(x), x))


def routed(self, x):
    hidden = self.hidden(x)
    return self.head(self.spare(hidden) if x[0, 0, 0] > 0 else self.other(hidden))


def unused(self, x):
    return self.head(self.hidden(x))


def hooked(self, x):
    hidden = self.hidden(x)
    if hidden.requires_grad:
        hidden.register_hook(lambda gradient: gradient / gradient.norm())
    return self.head(self.other(self.spare(hidden)))


def masked():
    net = Net(plain)
    net.body.weight.register_hook(lambda gradient: gradient * 0.5)
    return net


def scaled():
    net = Net(plain)
    net.spare.register_full_backward_pre_hook(lambda layer, gradients: (gradients[0] * 0.5,))
    return net


def tied_by_data():
    net = Net(plain)
    net.spare.weight.data = net.other.weight.data
    return net


KEPT = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
"""A model that a file makes once."""
BODY = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.BatchNorm1d(8))


def loss_of(pick):
    return lambda self, outputs, targets: functional.cross_entropy(pick(outputs), targets)


LAWFUL: Mapping[str, type[Task]] = {
    made.name: made
    for made in (
        task("in-place", in_place),
        task("python-draws", by_chance),
        task("numpy-draws", mixing),
        task("sees-list", by_numbers(lambda x: sum(x.tolist()))),
        task("sees-numpy", by_numbers(lambda x: x.numpy().sum())),
        task("sees-array", by_numbers(lambda x: np.asarray(x).sum())),
        task("made-once", lambda: KEPT),
        task("body-made-once", lambda: nn.Sequential(BODY, nn.Linear(8, 4))),
        task("tuple", lambda self, x: (plain(self, x), self.hidden(x)), loss=loss_of(lambda o: o[0]), **LOSS_ALONE),
        task(
            "dict",
            lambda self, x: {"scores": plain(self, x)},
            loss=loss_of(lambda o: o["scores"]),
            measure=lambda self, outputs, targets: {"accuracy": outputs["scores"].argmax(1) == targets},
        ),
        task("int32", plain, data=lambda self: data(targets=lambda x, y: y.astype(np.int32))),
        task("uint16", plain, data=lambda self: data(targets=lambda x, y: y.astype(np.uint16))),
        task(
            "labels-of-tokens",
            lambda self, x: x.transpose(1, 2)[:, :4] + plain(self, x)[:, :, None],
            data=lambda self: data(targets=lambda x, y: x[:, :, :4].argmax(2)),
        ),
        task(
            "tokens-by-class",
            lambda self, x: x[:, :, :4] + plain(self, x)[:, None],
            data=lambda self: data(targets=lambda x, y: x[:, :, :4].argmax(2)),
            loss=lambda self, outputs, targets: functional.cross_entropy(outputs.flatten(0, 1), targets.flatten()),
        ),
        task("number", plain, measure=lambda self, outputs, targets: {"accuracy": 0.5}),
        task("rare", lambda: Net(rarely, drawn=torch.randn(8))),
        task("no-numbers", lambda: Net(plain, nothing=nn.Parameter(torch.empty(0, 3)))),
    )
}
"""What trains by the law, fused as well as alone."""

ALONE: Mapping[str, tuple[type[Task], str]] = {
    made.name: (made, says)
    for made, says in (
        (task("routed", routed), "which weights get a gradient differs"),
        (task("unused", unused), r"`spare\.weight` gets no gradient.*requires_grad_"),
        (task("hooked", hooked), "hooks a tensor"),
        (task("masked", masked), r"`body\.weight` has a hook"),
        (task("scaled", scaled), "`spare` has a backward hook"),
        (task("tied-by-data", tied_by_data), r"`spare\.weight` lies in another's memory"),
    )
}
"""What trains lane by lane, and why."""


def remembering(self, x):
    hidden = self.hidden(x)
    before = getattr(self, "before", torch.zeros(8))
    self.before = hidden.mean(0).detach()
    return self.head(hidden + before)


def counting(self, x):
    self.calls = getattr(self, "calls", 0) + self.training
    return self.head(self.hidden(x)) * (1.0 if self.calls < 500 else 2.0)


def annealed(self, outputs, targets):
    self.calls = getattr(self, "calls", 0) + 1
    return functional.cross_entropy(outputs, targets) * min(1.0, self.calls / 20)


def growing(self, x):
    self.seen = torch.cat([self.seen, x.mean()[None]])
    return plain(self, x) + self.seen.mean()


def grown():
    net = Net(growing)
    net.register_buffer("seen", torch.zeros(1))
    return net


def from_nowhere():
    torch.seed()
    return Net(plain)


SYSTEM = random.SystemRandom()


UNREPEATABLE: Mapping[str, tuple[type[Task], str]] = {
    made.name: (made, says)
    for made, says in (
        (task("remembers", remembering), r"register_buffer.*model\.before"),
        (task("counts", counting), r"register_buffer.*model\.calls"),
        (task("anneals", plain, loss=annealed), r"register_buffer.*task\.calls"),
        (task("grows", grown), r"keep their shapes.*model\.seen.*`grows`"),
        (task("own-generator", lambda: Net(noisy, source=torch.Generator())), r"register_buffer.*model\.source"),
        (task("from-nowhere", from_nowhere), "same weights for the same seed"),
        (task("by-the-clock", lambda self, x: plain(self, x) * SYSTEM.random()), "same from the same state"),
    )
}
"""What would break the law, and what is said of it."""


def noisy(self, x):
    return plain(self, x + torch.randn(x.shape, generator=self.source))


HOOKED = masked()


def as_bytes():
    found = data()
    parts = {part: ((pair[0] * 9).astype(np.uint8), pair[1]) for part, pair in found.parts().items()}
    return lrsearch.Data(**parts)


def of(**given):
    """A task whose model is whole."""
    return lambda name: task(name, plain, **given)


CLIPPED = Net(plain)
CLIPPED.body.weight.register_post_accumulate_grad_hook(lambda weight: None)
WRONG: Mapping[str, tuple[type[Task], str]] = {
    name: (make(name), says)
    for name, (make, says) in {
        "lazy": (
            lambda name: task(name, lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(4))),
            r"`1\.weight` is of a lazy layer",
        ),
        "no-module": (lambda name: task(name, lambda: np.zeros), "must return a torch.nn.Module"),
        "half": (
            lambda name: task(name, lambda: Net(plain).bfloat16()),
            r"`body\.weight` of task `half` is bfloat16.*precision",
        ),
        "clipped-once": (lambda name: task(name, lambda: CLIPPED), "cannot be copied with their hooks"),
        "sparse": (lambda name: task(name, lambda: nn.Embedding(9, 4, sparse=True)), "leave out `sparse=True`"),
        "words": (of(data=lambda self: data(targets=lambda x, y: y.astype(str))), "numbers.*targets of `train`"),
        "many-losses": (of(loss=lambda self, o, t: (o**2).mean(1)), r"one number, a mean \(got shape \(50,\)"),
        "two-losses": (of(loss=lambda self, o, t: (o.mean(), o)), r"one number, a mean \(got tuple"),
        "cut-off": (of(loss=lambda self, o, t: o.detach().mean()), "depend on the model's weights"),
        "by-class": (of(measure=lambda self, o, t: {"mean": o.mean(0)}), r"each of the 50 .*\(4,\) for `mean`"),
        "no-dict": (of(measure=lambda self, o, t: o.mean(0)), "a dict of tensors"),
        "dict-unmeasured": (
            lambda name: task(name, lambda self, x: {"scores": plain(self, x)}, loss=loss_of(lambda o: o["scores"])),
            "type dict",
        ),
        "regression": (
            of(
                data=lambda self: data(targets=lambda x, y: x[:, 0, :4]),
                loss=lambda self, o, t: (o - t).square().mean(),
            ),
            r"val_accuracy.*targets \(50, 4\)",
        ),
        "last-of-one": (
            lambda name: task(name, lambda: KEPT, train_examples=101, data=lambda self: data(101)),
            "choose a `batch_size`",
        ),
        "broken": (
            of(loss=lambda self, o, t: functional.cross_entropy(o[:, :2], t)),
            r"IndexError: Target . is out of bounds\. \(odd\.py, line",
        ),
        "hooked-once": (lambda name: task(name, lambda: HOOKED), "cannot be copied with their hooks"),
        "no-data": (of(data=lambda self: (data().train, data().val)), r"must return lrsearch\.Data.*got tuple"),
        "bytes": (of(data=lambda self: as_bytes()), r"torch\.uint8: convert them"),
    }.items()
}
"""What cannot be trained, and what is said of it."""
