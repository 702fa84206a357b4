"""Products of many small matrices, written as the processor's library does them fastest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

import torch

from .recording import Call, storage_of

FEWEST_ROWS = 32
"""A product of fewer rows does not gain what laying out its second factor costs."""
MUCH = 1.5
"""Times as long as another: laying out takes time, too."""
LANES, RUNS, LARGE = 16, 8, 2**18
"""Of what is timed: lanes, runs, and the most multiplications a lane."""


def quickened(calls: Sequence[Call], kept: Sequence[torch.Tensor]) -> list[Call]:
    """The same calls, their batched products of some kinds written anew.

    * ``a @ w.T`` of every lane, a layer's forward pass: on some processors MKL's batched product is 2.2 times slower
      where its second factor is a transposed view, which is more than laying that factor out costs.
    * ``(x.T @ g).T``, a weight's gradient that is copied to its place afterwards: as ``g.T @ x`` where that is faster,
      since a copy of numbers in order is 2.5 times faster than one that transposes, but MKL's product of, say, 8 or 10
      columns 3 times slower; and copied at once, while caches hold it.
    * ``x.T @ g`` where ``g`` is one column: as ``g.T @ x``, 3 to 6 times faster.

    A product's sums run over the same numbers in the same order either way, and give the same bits with MKL for all but
    a few rows; whoever plays a tape has compared it first.

    Args:
        calls: as recorded, in order.
        kept: results.
    """
    uses = Counter(storage_of(tensor) for call in calls for tensor in call.touched)
    uses.update(storage_of(tensor) for tensor in kept)
    copies = {
        storage_of(product.fresh[0]): copy
        for product, copy in _pairs(calls)
        if uses[storage_of(product.fresh[0])] == 2  # it is written once and read once
    }
    early = _early(calls, list(copies.values()))
    fresh: dict[int, torch.Tensor] = {}
    found: list[Call] = []
    for call in calls:
        if call.name == "bmm" and (copy := copies.get(storage_of(call.fresh[0]))) is not None:
            left, right = call.args
            if turned_is_faster(*left.shape[1:], right.shape[2]):
                product = torch.empty_like(copy.args[1], memory_format=torch.contiguous_format)
                fresh[id(copy)] = product
                found.append(_product(right.transpose(1, 2), left.transpose(1, 2), product))
            else:
                fresh[id(copy)] = copy.args[1]
                found.append(call)
            if id(copy) in early:
                found.append(_copy(fresh[id(copy)], copy))
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
    left, right = torch.ones(LANES, 64, 64), torch.ones(LANES, 64, 32)
    into, view = torch.empty(LANES, 64, 32), torch.ones(LANES, 32, 64).transpose(1, 2)
    return _seconds(lambda: torch.bmm(left, view, out=into)) > MUCH * _seconds(lambda: torch.bmm(left, right, out=into))


@lru_cache(maxsize=64)
def turned_is_faster(rows: int, terms: int, columns: int) -> bool:
    """Whether ``(right.T @ left.T)``, copied, is faster than ``(left @ right).T``, copied, ``left`` being a view.

    A look of a millisecond for a layer of 64 units; large products, of (rows, terms) and (terms, columns), are not
    looked at.
    """
    if rows * terms * columns > LARGE:
        return True
    left, right = torch.ones(LANES, terms, rows), torch.ones(LANES, terms, columns)
    straight, turned, into = (torch.empty(LANES, *its) for its in ((rows, columns), (columns, rows), (columns, rows)))

    def straight_on() -> None:
        torch.bmm(left.transpose(1, 2), right, out=straight)
        into.copy_(straight.transpose(1, 2))

    def turned_over() -> None:
        torch.bmm(right.transpose(1, 2), left, out=turned)
        into.copy_(turned)

    return _seconds(turned_over) < _seconds(straight_on)


def _seconds(work: Callable[[], object]) -> float:
    """The fastest of some runs."""

    def once() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return min(once() for _ in range(RUNS))


def _same_view(one: torch.Tensor, other: torch.Tensor) -> bool:
    return (
        one.shape == other.shape and one.stride() == other.stride() and one.storage_offset() == other.storage_offset()
    )


def _product(left: torch.Tensor, right: torch.Tensor, into: torch.Tensor) -> Call:
    return Call("bmm", torch.bmm, (left, right), {"out": into}, (into,), ())


def _copy(source: torch.Tensor, call: Call) -> Call:
    return Call("clone", torch.Tensor.copy_, (call.args[0], source), {}, call.fresh, call.changed)
