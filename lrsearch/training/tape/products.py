"""Products of many small matrices, written as the processor's library does them fastest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import cache

import torch

from .recording import Call, storage_of

FEWEST_ROWS = 32
"""A product of fewer rows does not gain what laying out its second factor costs."""
MUCH = 1.5
"""Times as long as another: laying out takes time, too."""


def quickened(calls: Sequence[Call], kept: Sequence[torch.Tensor]) -> list[Call]:
    """The same calls, their batched products of some kinds written anew.

    * ``a @ w.T`` of every lane, a layer's forward pass: on some processors MKL's batched product is 2.2 times slower
      where its second factor is a transposed view, which is more than laying that factor out costs.
    * ``(x.T @ g).T``, a weight's gradient that is copied to its place afterwards: as ``g.T @ x``, since a copy of
      numbers in order is 2.5 times faster than one that transposes; and copied at once, while caches hold it.
    * ``x.T @ g`` where ``g`` is one column: as ``g.T @ x``, 3 to 6 times faster.

    A product's sums run over the same numbers in the same order either way, and give the same bits with MKL for all but
    a few rows; whoever plays a tape has compared it first.

    Args:
        calls: as recorded, in order.
        kept: results.
    """
    uses = Counter(storage_of(tensor) for call in calls for tensor in call.touched)
    uses.update(storage_of(tensor) for tensor in kept)
    turned = {
        storage_of(product.fresh[0]): copy
        for product, copy in _pairs(calls)
        if uses[storage_of(product.fresh[0])] == 2  # it is written once and read once
    }
    early = _early(calls, list(turned.values()))
    fresh: dict[int, torch.Tensor] = {}
    found: list[Call] = []
    for call in calls:
        if call.name == "bmm" and (copy := turned.get(storage_of(call.fresh[0]))) is not None:
            left, right = call.args
            product = torch.empty_like(copy.args[1], memory_format=torch.contiguous_format)
            fresh[id(copy)] = product
            found.append(_product(right.transpose(1, 2), left.transpose(1, 2), product))
            if id(copy) in early:
                found.append(_copy(product, copy))
        elif id(call) in fresh:
            if id(call) not in early:
                found.append(_copy(fresh[id(call)], call))
        elif call.name == "bmm" and (written := _of_column(call)) is not None:
            found.append(written)
        elif call.name == "bmm" and _slow(*call.args):
            left, right = call.args
            laid_out = torch.empty_like(right, memory_format=torch.contiguous_format)
            found.append(Call("clone", torch.Tensor.copy_, (laid_out, right), {}, (laid_out,), ()))
            found.append(_product(left, laid_out, call.fresh[0]))
        else:
            found.append(call)
    return found


def _early(calls: Sequence[Call], copies: Sequence[Call]) -> set[int]:
    """Those of ``copies``, by their ``id``, whose target nothing else has touched before them."""
    moved, found = {id(copy) for copy in copies}, set()
    touched: set[int] = set()
    for call in calls:
        if id(call) not in moved:
            touched.update(map(storage_of, call.touched))
        elif storage_of(call.args[0]) not in touched:
            found.add(id(call))
    return found


def _of_column(call: Call) -> Call | None:
    """A transposed view's product with one column, faster; None where a product is none."""
    (left, right), into = call.args, call.fresh[0]
    if right.shape[2] > 1 or left.shape[1] == 1 or not (left.stride(1) == 1 and left.stride(2) > 1):
        return None
    return _product(right.transpose(1, 2), left.transpose(1, 2), into.transpose(1, 2))


def _pairs(calls: Sequence[Call]) -> list[tuple[Call, Call]]:
    """Products, and the copies of their transpose."""
    products = {storage_of(call.fresh[0]): call for call in calls if call.name == "bmm" and call.fresh}
    pairs = []
    for call in calls:
        if call.name == "clone" and (product := products.get(storage_of(call.args[1]))) is not None:
            made, source = product.fresh[0], call.args[1]
            if made.is_contiguous() and _same_view(source, made.transpose(1, 2)) and min(made.shape[1:]) > 1:
                pairs.append((product, call))
    return pairs


def _slow(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether the second factor is a transposed view of some columns that is worth laying out."""
    viewed = right.stride(1) == 1 and right.stride(2) > 1 and right.shape[2] > 1
    return viewed and left.shape[1] >= FEWEST_ROWS and views_are_slow()


@cache
def views_are_slow() -> bool:
    """Whether this processor multiplies with a transposed view much more slowly; a look of a millisecond."""
    left, right = torch.ones(16, 64, 64), torch.ones(16, 64, 32)
    into, view = torch.empty(16, 64, 32), torch.ones(16, 32, 64).transpose(1, 2)

    def seconds(factor: torch.Tensor) -> float:
        began = time.perf_counter()
        torch.bmm(left, factor, out=into)
        return time.perf_counter() - began

    return min(seconds(view) for _ in range(8)) > MUCH * min(seconds(right) for _ in range(8))


def _same_view(one: torch.Tensor, other: torch.Tensor) -> bool:
    return (
        one.shape == other.shape and one.stride() == other.stride() and one.storage_offset() == other.storage_offset()
    )


def _product(left: torch.Tensor, right: torch.Tensor, into: torch.Tensor) -> Call:
    return Call("bmm", torch.bmm, (left, right), {"out": into}, (into,), ())


def _copy(source: torch.Tensor, call: Call) -> Call:
    return Call("clone", torch.Tensor.copy_, (call.args[0], source), {}, call.fresh, call.changed)
