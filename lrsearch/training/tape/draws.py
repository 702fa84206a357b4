"""What a call draws at random, and computes of nothing else: the same for all that start the generator alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from .memory import EMPTY
from .recording import Call, storage_of


def with_draws_marked(calls: Sequence[Call]) -> list[Call]:
    """The same calls, those ``drawn`` that depend on the generator alone: dropout's masks, and what is made of those.

    None is marked where one draw depends on more, since the generator must be where that one expects it; nor where
    something else writes over what was drawn.

    Args:
        calls: in order.
    """
    empty: set[int] = set()
    drawn: set[int] = set()
    other: set[int] = set()
    found = []
    for call in calls:
        fresh, changed = _storages(call.fresh), _storages(call.changed)
        written = fresh | changed
        read = _storages(call.touched) - written
        if call.name in EMPTY:
            empty |= fresh
        elif (
            read <= drawn
            and changed <= (drawn | empty if call.draws else drawn)
            and (call.draws or read | changed)
            and not written & other  # a part of what is joined may be drawn
        ):
            drawn |= written
            found.append(replace(call, drawn=True))
            continue
        elif call.draws or written & drawn:
            return list(calls)
        else:
            empty -= written
            other |= written
        found.append(call)
    return found


def _storages(tensors: Iterable[torch.Tensor]) -> set[int]:
    return {storage_of(tensor) for tensor in tensors}
