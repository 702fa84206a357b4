"""A range test of a PyTorch model, optimiser and loader, all left as they were."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ..errors import InvalidInput
from ..finder import range_test
from ..study import RangeTestResult


def torch_range_test(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Any, Any], torch.Tensor],
    batches: Iterable[Any],
    *,
    low: float = 1e-6,
    high: float = 10.0,
    updates: int = 100,
    accumulate: int = 1,
    forward: Callable[[torch.nn.Module, Any], torch.Tensor] | None = None,
    **options: Any,
) -> RangeTestResult:
    """``lrsearch.range_test`` of PyTorch's usual parts; weights, buffers, optimiser, mode and generators come back.

    Parameter groups keep the ratios of their rates: the largest one gets the rate that is tried.

    Args:
        model: trained as it is, on the device where it is.
        optimizer: over the model's parameters; a scheduler attached to it is not stepped.
        loss: ``loss(outputs, targets)``, a scalar.
        batches: pairs (inputs, targets), a loader say; begun anew whenever it ends.
        low: the first rate.
        high: the last rate.
        updates: optimiser updates in all.
        accumulate: batches an update, whose mean gradient it uses, >= 1.
        forward: ``forward(model, batch)`` -> the loss, for batches that are no such pairs; ``loss`` is not used then.
        options: as ``lrsearch.range_test``: batches_per_rate, sweep, smoothing, stop_factor.

    Raises:
        InvalidInput: an argument breaks a law, or there are no batches.
    """
    if accumulate < 1:
        raise InvalidInput(f"accumulate >= 1 must hold (got {accumulate})", field="accumulate")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    largest = max((float(group["lr"]) for group in optimizer.param_groups), default=0.0)
    shares = [float(group["lr"]) / largest if largest > 0 else 1.0 for group in optimizer.param_groups]

    def loss_of(batch: Any) -> torch.Tensor:
        moved = _moved(batch, device)
        if forward is not None:
            return forward(model, moved)
        inputs, targets = moved
        return loss(model(inputs), targets)

    with _kept(model, optimizer, batches), torch.enable_grad():
        stream = _endless(batches)

        def update(rate: float) -> float:
            for group, share in zip(optimizer.param_groups, shares, strict=True):
                if isinstance(group["lr"], torch.Tensor):
                    group["lr"].fill_(rate * share)
                else:
                    group["lr"] = rate * share
            optimizer.zero_grad(set_to_none=True)
            total = 0.0
            for _ in range(accumulate):
                value = loss_of(next(stream)) / accumulate
                value.backward()  # type: ignore[no-untyped-call]  # torch types it not
                total += float(value.detach())
            optimizer.step()
            return total

        model.train()
        return range_test(update, low, high, updates, **options)


@contextmanager
def _kept(model: torch.nn.Module, optimizer: torch.optim.Optimizer, batches: Any) -> Iterator[None]:
    """Everything that training changes, put back afterwards into the very same tensors."""
    owners: list[dict[str, Any]] = [its for module in model.modules() for its in (module._parameters, module._buffers)]
    entries = [(owner, dict(owner.items())) for owner in owners]
    tensors = [*model.parameters(), *model.buffers()]
    values = [(tensor, tensor.detach().clone()) for tensor in tensors]
    gradients = [(tensor, tensor.grad) for tensor in tensors]
    modes = [(module, module.training) for module in model.modules()]
    moments = {parameter: copy.deepcopy(state) for parameter, state in optimizer.state.items()}
    groups = [{**group, "lr": _copied(group["lr"])} for group in optimizer.param_groups]
    try:
        for tensor in tensors:
            tensor.grad = None  # zero_grad would write into what is kept
        with _kept_generators(batches):
            yield
    finally:
        for owner, kept in entries:  # a forward pass may have put others in their place
            for name in set(owner.keys()) - kept.keys():
                del owner[name]
            for name, entry in kept.items():
                if name not in owner or owner[name] is not entry:
                    owner[name] = entry
        with torch.no_grad():
            for tensor, value in values:
                tensor.copy_(value)
        for tensor, gradient in gradients:
            tensor.grad = gradient
        for module, training in modes:
            module.training = training
        optimizer.state.clear()
        optimizer.state.update(moments)
        for group, old in zip(optimizer.param_groups, groups, strict=True):
            rate = group["lr"]
            group.update(old)
            if isinstance(rate, torch.Tensor):
                group["lr"] = rate.copy_(old["lr"])


@contextmanager
def _kept_generators(batches: Any) -> Iterator[None]:
    """The generators of Python, numpy, torch and the loader give what they would have given."""
    owners = (batches, getattr(batches, "sampler", None), getattr(batches, "batch_sampler", None))
    own = {id(g): g for owner in owners if isinstance(g := getattr(owner, "generator", None), torch.Generator)}
    states = [(generator, generator.get_state()) for generator in own.values()]
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for generator, state in states:
            generator.set_state(state)


def _copied(rate: Any) -> Any:
    return rate.clone() if isinstance(rate, torch.Tensor) else rate


def _endless(batches: Iterable[Any]) -> Iterator[Any]:
    while True:
        n_batches = 0
        for batch in batches:
            n_batches += 1
            yield batch
        if n_batches == 0:
            raise InvalidInput("a range test needs batches: the loader gave none (an iterator gives its own only once)")


def _moved(value: Any, device: torch.device) -> Any:
    """Tensors of a batch on ``device``, whatever holds them."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(_moved(item, device) for item in value)
    return value
