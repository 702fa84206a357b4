"""Products of many small matrices, written as the processor's library does them fastest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import torch

from .recording import Call, same_view, storage_of

FEWEST_ROWS = 32
"""A product of fewer rows does not gain what laying out its second factor costs."""
MUCH = 1.5
"""Times as long as another: laying out takes time, too."""
RUNS, LANES, LARGE = 8, 16, 2**22
"""Of what is looked at: runs that are timed, the most lanes, and about the most multiplications of a run."""
TOO_LARGE = 2**28
"""Multiplications of one lane: such products are left as they are, and not looked at."""


def quickened(calls: Sequence[Call], kept: Sequence[torch.Tensor]) -> list[Call]:
    """The same calls, their batched products of some kinds written anew.

    * ``a @ w.T`` of every lane, a layer's forward pass: on some processors MKL's batched product is 2.2 times slower
      where its second factor is a transposed view, which is more than laying that factor out costs.
    * ``(x.T @ g).T``, a weight's gradient that is copied to its place afterwards: as ``g.T @ x`` where that is faster,
      since a copy of numbers in order is 2.5 times faster than one that transposes, but MKL's product of 8 or 10
      columns 3 times slower; and copied at once, while caches hold it.
    * ``x.T @ g`` where ``g`` is one column: as ``g.T @ x``, 3 to 6 times faster.

    A product is written anew only where it gives the same bits for random factors of its shape: a product's sums run
    over the same numbers either way, but with 4 to 10 columns on one side MKL adds them up in another order. Whoever
    plays a tape has compared all of it, too, but with the numbers of one call, which may be zeros.

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
            if turned_is_faster(*left.shape[1:], right.shape[2], left.dtype):
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
    if not turned_is_same(*left.shape[1:], 1, left.dtype):
        return None
    return _product(right.transpose(1, 2), left.transpose(1, 2), into.transpose(1, 2))


def _pairs(calls: Sequence[Call]) -> list[tuple[Call, Call]]:
    """Products, and the copies of their transpose."""
    products = {storage_of(call.fresh[0]): call for call in calls if call.name == "bmm" and call.fresh}
    pairs = []
    for call in calls:
        if call.name == "clone" and (product := products.get(storage_of(call.args[1]))) is not None:
            made, source = product.fresh[0], call.args[1]
            if made.is_contiguous() and same_view(source, made.transpose(1, 2)) and min(made.shape[1:]) > 1:
                pairs.append((product, call))
    return pairs


def _slow(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether the second factor is a transposed view of some columns that is worth laying out."""
    viewed = right.stride(1) == 1 and right.stride(2) > 1 and right.shape[2] > 1
    many = left.shape[1] >= FEWEST_ROWS
    return viewed and many and views_are_slow() and laid_out_is_same(*left.shape[1:], right.shape[2], left.dtype)


@cache
def views_are_slow() -> bool:
    """Whether this processor multiplies with a transposed view much more slowly; a look of a millisecond."""
    left, right = torch.ones(16, 64, 64), torch.ones(16, 64, 32)
    into, view = torch.empty(16, 64, 32), torch.ones(16, 32, 64).transpose(1, 2)
    return _seconds(lambda: torch.bmm(left, view, out=into)) > MUCH * _seconds(lambda: torch.bmm(left, right, out=into))


@cache
def laid_out_is_same(rows: int, terms: int, columns: int, dtype: torch.dtype) -> bool:
    """Whether a product has the same bits where its second factor is laid out."""
    draw = torch.Generator().manual_seed(0)
    left = torch.randn(2, rows, terms, generator=draw).to(dtype)
    view = torch.randn(2, columns, terms, generator=draw).to(dtype).transpose(1, 2)
    return torch.equal(torch.bmm(left, view), torch.bmm(left, view.contiguous()))


class Turning:
    """Two ways to the gradient of a layer's weights, for random factors: one turns the product, one its copy.

    Args:
        rows, terms, columns: the product is one of (rows, terms), a transposed view, and (terms, columns).
        dtype: of all numbers.
    """

    def __init__(self, rows: int, terms: int, columns: int, dtype: torch.dtype) -> None:
        lanes = min(max(LARGE // max(rows * terms * columns, 1), 1), LANES)
        draw = torch.Generator().manual_seed(0)
        made = torch.randn(lanes, terms, rows, generator=draw), torch.randn(lanes, terms, columns, generator=draw)
        self._left, self._right = (factor.to(dtype) for factor in made)
        self._straight = torch.empty(lanes, rows, columns, dtype=dtype)
        self._turned, self._into = (torch.empty(lanes, columns, rows, dtype=dtype) for _ in range(2))

    def straight(self) -> torch.Tensor:
        """``(left @ right).T``, copied."""
        torch.bmm(self._left.transpose(1, 2), self._right, out=self._straight)
        return self._into.copy_(self._straight.transpose(1, 2))

    def turned(self) -> torch.Tensor:
        """``right.T @ left.T``, copied."""
        torch.bmm(self._right.transpose(1, 2), self._left, out=self._turned)
        return self._into.copy_(self._turned)


@cache
def turned_is_same(rows: int, terms: int, columns: int, dtype: torch.dtype) -> bool:
    """Whether a turned product of this shape has the bits of the other."""
    if rows * terms * columns > TOO_LARGE:
        return False
    ways = Turning(rows, terms, columns, dtype)
    return torch.equal(ways.straight().clone(), ways.turned())


@cache
def turned_is_faster(rows: int, terms: int, columns: int, dtype: torch.dtype) -> bool:
    """Whether it has, and is faster with its copy; a look of 1 to 2 milliseconds for a layer of 64 units."""
    if not turned_is_same(rows, terms, columns, dtype):
        return False
    ways = Turning(rows, terms, columns, dtype)
    return _seconds(ways.turned) < _seconds(ways.straight)


def _seconds(work: Callable[[], object]) -> float:
    """The fastest of some runs."""

    def once() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return min(once() for _ in range(RUNS))


def _product(left: torch.Tensor, right: torch.Tensor, into: torch.Tensor) -> Call:
    return Call("bmm", torch.bmm, (left, right), {"out": into}, (into,), ())


def _copy(source: torch.Tensor, call: Call) -> Call:
    return Call("clone", torch.Tensor.copy_, (call.args[0], source), {}, call.fresh, call.changed)
