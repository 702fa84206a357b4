"""Where the results of recorded calls are kept: as little memory as their lifetimes allow, so that caches hold it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from .recording import Call, storage_of

EMPTY = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")
"""Operators that find memory and write nothing."""
ELEMENTWISE = (
    *("add", "sub", "mul", "div", "neg", "where", "clamp", "clamp_min", "exp", "log", "relu", "threshold_backward"),
    *("tanh", "tanh_backward", "sigmoid", "sigmoid_backward", "gelu", "silu"),
)
"""Operators that read a number before they write the one in its place: they may write over what they read."""


class Memory:
    """A home for every storage that calls make.

    Args:
        calls: in order.
        kept: tensors that must outlive the calls; so must what is ``drawn``, until the calls run again without those.
    """

    def __init__(self, calls: Sequence[Call], kept: Sequence[torch.Tensor]) -> None:
        self._same = _copies(calls)
        self._last = {self._root(tensor): i for i, call in enumerate(calls) for tensor in call.touched}
        self._last |= {self._root(tensor): len(calls) for tensor in kept}
        apart = {self._root(tensor) for call in calls if call.drawn for tensor in (*call.fresh, *call.changed)}
        self._last |= dict.fromkeys(apart, len(calls))
        self._home: dict[int, torch.UntypedStorage] = {}
        free: defaultdict[int, list[torch.UntypedStorage]] = defaultdict(list)
        dying: defaultdict[int, list[int]] = defaultdict(list)
        for i, call in enumerate(calls):
            moved = None
            for tensor in call.fresh:
                root, size = self._root(tensor), tensor.untyped_storage().nbytes()
                if root in self._home:
                    continue
                moved = None if root in apart else self._dying_here(i, call, tensor)
                if root in apart:
                    self._home[root] = _storage(size)
                elif moved is not None:
                    self._home[root] = self._home[moved]
                else:
                    self._home[root] = free[size].pop() if free[size] else _storage(size)
                dying[self._last[root]].append(root)
            for root in dying.pop(i, ()):
                if root != moved:
                    free[self._home[root].nbytes()].append(self._home[root])
        self.calls = [self._moved(call) for call in calls if self._runs(call)]

    def moved(self, tensor: torch.Tensor) -> torch.Tensor:
        """``tensor`` as a view of its home."""
        home = self._home.get(self._root(tensor))
        if home is None:
            return tensor
        new = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        return new.set_(home, tensor.storage_offset(), tensor.size(), tensor.stride())

    def _root(self, tensor: torch.Tensor) -> int:
        storage = storage_of(tensor)
        while storage in self._same:
            storage = self._same[storage]
        return storage

    def _runs(self, call: Call) -> bool:
        """Whether a call does anything any more."""
        if call.changed:
            return True
        return not (call.name in EMPTY or storage_of(call.fresh[0]) in self._same)

    def _dying_here(self, i: int, call: Call, result: torch.Tensor) -> int | None:
        """A storage that call ``i`` reads last, number by number as it writes ``result``."""
        if call.name not in ELEMENTWISE or len(call.fresh) > 1:
            return None
        read = call.read
        for root in dict.fromkeys(map(self._root, read)):
            views = [tensor for tensor in read if self._root(tensor) == root]
            if root in self._home and self._last[root] == i and all(_alike(view, result) for view in views):
                return root
        return None

    def _moved(self, call: Call) -> Call:
        kwargs = {name: self._moved_in(value) for name, value in call.kwargs.items()}
        fresh, changed = self._moved_in(call.fresh), self._moved_in(call.changed)
        return replace(call, args=self._moved_in(call.args), kwargs=kwargs, fresh=fresh, changed=changed)

    def _moved_in(self, nested: Any) -> Any:
        if isinstance(nested, torch.Tensor):
            return self.moved(nested)
        return type(nested)(map(self._moved_in, nested)) if type(nested) in (list, tuple) else nested


def _storage(n_bytes: int) -> torch.UntypedStorage:
    return torch.empty(n_bytes, dtype=torch.uint8).untyped_storage()


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors lay the same numbers at the same places of storages of one size."""
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and one.stride() == other.stride()
        and one.storage_offset() == other.storage_offset()
        and one.untyped_storage().nbytes() == other.untyped_storage().nbytes()
    )


def _written_in_place(calls: Sequence[Call]) -> set[int]:
    return {storage_of(tensor) for call in calls for tensor in call.changed}


def _copies(calls: Sequence[Call]) -> dict[int, int]:
    """Storages that hold the numbers of another one, which nobody changes: products with 1, as vmap makes many."""
    written = _written_in_place(calls)
    made = {storage_of(tensor) for call in calls for tensor in call.fresh}
    same = {}
    for call in calls:
        if call.name == "mul" and len(call.args) == 2 and isinstance(call.args[1], int | float) and call.args[1] == 1:
            source, result = call.args[0], call.fresh[0]
            both = {storage_of(source), storage_of(result)}
            if _alike(source, result) and both <= made and not both & written:
                same[storage_of(result)] = storage_of(source)
    return same
