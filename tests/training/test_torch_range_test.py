from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lrsearch
from lrsearch.errors import InvalidInput

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "tensor rate": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.1)),
}


@pytest.fixture
def parts():
    def make(optimizer="sgd", trained=True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
        x = torch.randn(64, 8)
        data = TensorDataset(x, x[:, :3].argmax(1))
        loader = DataLoader(data, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(7))
        opt = OPTIMIZERS[optimizer](model.parameters())
        if trained:
            for inputs, targets in loader:
                opt.zero_grad()
                nn.functional.cross_entropy(model(inputs), targets).backward()
                opt.step()
        return model, opt, nn.CrossEntropyLoss(), loader

    return make


def everything(model, optimizer, loader):
    """All that the next update depends on."""
    return {
        "model": {k: v.clone() for k, v in model.state_dict().items()},
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "optimizer": copy.deepcopy(optimizer.state_dict()),
        "mode": [m.training for m in model.modules()],
        "torch": torch.random.get_rng_state(),
        "loader": loader.generator.get_state(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1],
    }


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return np.array_equal(one, other)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("trained", [True, False])
def test_everything_is_left_as_it_was(parts, optimizer, trained):
    model, opt, loss, loader = parts(optimizer, trained)
    model.eval()
    before = everything(model, opt, loader)
    result = lrsearch.torch_range_test(model, opt, loss, loader, low=1e-5, updates=40)
    assert equal(before, everything(model, opt, loader))
    assert result.loss[0] != result.loss[-1]


def test_an_error_in_the_middle_restores_too(parts):
    model, opt, loss, loader = parts()
    before = everything(model, opt, loader)
    calls = []

    def failing(outputs, targets):
        random.random()
        calls.append(1)
        if len(calls) == 30:
            raise RuntimeError("cut off")
        return loss(outputs, targets)

    with pytest.raises(RuntimeError, match="cut off"):
        lrsearch.torch_range_test(model, opt, failing, loader)
    assert equal(before, everything(model, opt, loader))


class Averaging(nn.Linear):
    """Keeps averages by putting new tensors in the place of the old ones, as models do that write no ``copy_``."""

    def __init__(self):
        super().__init__(8, 3)
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("largest", None)
        self.scale = nn.Parameter(torch.ones(3), requires_grad=False)

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        self.largest = x.detach().abs().max()
        self.scale = nn.Parameter(self.scale * 0.99, requires_grad=False)
        if "latest" not in self._buffers:
            self.register_buffer("latest", x.detach())
        return super().forward(x - self.mean) * self.scale


def test_tensors_that_a_model_replaces_come_back(parts):
    *_, loss, loader = parts()
    model = nn.Sequential(Averaging(), nn.Identity())
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    before, held = everything(model, opt, loader), {**dict(model.named_buffers()), **dict(model.named_parameters())}
    lrsearch.torch_range_test(model, opt, loss, loader, updates=20)
    assert equal(before, everything(model, opt, loader))
    after = {**dict(model.named_buffers()), **dict(model.named_parameters())}
    assert after.keys() == held.keys()
    assert all(after[name] is tensor for name, tensor in held.items())
    assert model[0].largest is None


def test_accumulated_batches_are_one_large_batch():
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    y = x.sum(1, keepdim=True)
    curves = []
    for batches, accumulate in (([(x, y)], 1), ([(x[:4], y[:4]), (x[4:], y[4:])], 2)):
        torch.manual_seed(0)
        model = nn.Linear(4, 1)
        opt = torch.optim.SGD(model.parameters(), lr=0.1)
        result = lrsearch.torch_range_test(
            model, opt, nn.functional.mse_loss, batches, low=1e-4, high=1.0, updates=40, accumulate=accumulate
        )
        curves.append(result.loss)
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)


def test_groups_keep_their_ratio_and_any_batch_goes(parts):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    opt = torch.optim.SGD([{"params": model[0].parameters(), "lr": 0.01}, {"params": model[1].parameters()}], lr=0.1)
    seen = []

    def forward(model, batch):
        seen.append(tuple(group["lr"] for group in opt.param_groups))
        return ((model(batch["x"]) - 1) ** 2).mean()

    lrsearch.torch_range_test(
        model, opt, None, [{"x": torch.ones(2, 4)}], low=1e-4, high=0.1, updates=20, forward=forward
    )
    assert [rates[0] / rates[1] for rates in seen] == pytest.approx([0.1] * len(seen))
    assert seen[0][1] == 1e-4
    assert [group["lr"] for group in opt.param_groups] == [0.01, 0.1]


def test_what_cannot_be_trained_is_refused(parts):
    model, opt, loss, loader = parts()
    with pytest.raises(InvalidInput, match="needs batches"):
        lrsearch.torch_range_test(model, opt, loss, [])
    with pytest.raises(InvalidInput, match="accumulate"):
        lrsearch.torch_range_test(model, opt, loss, loader, accumulate=0)
