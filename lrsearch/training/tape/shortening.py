"""Recorded calls without those that nobody needs, and without laying results next to each other afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import torch

from .recording import Call, storage_of

CONSTANT = (
    *("zeros", "zeros_like", "new_zeros", "ones", "ones_like", "new_ones"),
    *("full", "full_like", "new_full", "scalar_tensor", "arange"),
)
"""Operators that give the same numbers every time, whatever those are in what they are given."""


def shortened(calls: Sequence[Call], kept: Sequence[torch.Tensor]) -> list[Call]:
    """Calls that leave the same numbers in ``kept``, in everything that was there before, and in the generator.

    Args:
        calls: as recorded, in order.
        kept: results.
    """
    return _joined(_needed(_varying(calls, kept), kept), kept)


def _varying(calls: Sequence[Call], kept: Sequence[torch.Tensor]) -> list[Call]:
    """Without those that give the same numbers every time, which stay where they were recorded."""
    changed = {storage_of(tensor) for call in calls for tensor in call.changed} | {
        storage_of(tensor) for tensor in kept
    }
    same: set[int] = set()
    found = []
    for call in calls:
        read = {storage_of(tensor) for tensor in call.read}
        fresh = {storage_of(tensor) for tensor in call.fresh}
        constant = call.name in CONSTANT or (read and read <= same)
        if constant and fresh and not (call.changed or call.draws or fresh & changed):
            same |= fresh
        else:
            found.append(call)
    return found


def _needed(calls: Sequence[Call], kept: Sequence[torch.Tensor]) -> list[Call]:
    """The calls whose results are looked at, as most graphs compute some that are not."""
    made = {storage_of(tensor) for call in calls for tensor in call.fresh}
    wanted = {storage_of(tensor) for tensor in kept}
    found = []
    for call in reversed(calls):
        written = {storage_of(tensor) for tensor in (*call.fresh, *call.changed)}
        if call.draws or written & wanted or not written <= made:
            wanted |= {storage_of(tensor) for tensor in call.touched}
            found.append(call)
    return found[::-1]


def _joined(calls: Sequence[Call], kept: Sequence[torch.Tensor]) -> list[Call]:
    """Instead of ``cat``, copies of its parts into their places; a part that is a copy itself is written there."""
    uses = Counter(storage_of(tensor) for call in calls for tensor in call.touched)
    uses.update(storage_of(tensor) for tensor in kept)
    makers = {storage_of(call.fresh[0]): i for i, call in enumerate(calls) if call.name == "clone"}
    found: list[list[Call]] = [[call] for call in calls]
    for i, call in enumerate(calls):
        if call.name != "cat" or any(part.ndim != call.fresh[0].ndim for part in call.args[0]):
            continue
        found[i] = []
        for part, place in _places(call):
            maker = makers.get(storage_of(part))
            if maker is None or uses[storage_of(part)] > 2 or not _moves(calls[maker], part, place):
                found[i].append(_copy(part, place))
            else:
                source, shape = calls[maker].args[1], calls[maker].fresh[0].shape
                found[maker] = [_copy(source, place.view(shape))]
    return [call for its in found for call in its]


def _places(call: Call) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Every part of a ``cat``, and where it lies in the result."""
    parts = call.args[0]
    dim = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)
    return zip(parts, torch.split(call.fresh[0], [part.shape[dim] for part in parts], dim), strict=True)


def _moves(copy: Call, part: torch.Tensor, place: torch.Tensor) -> bool:
    """Whether a copy that is all of ``part`` can be written to its place at once."""
    made = copy.fresh[0]
    if not (made.is_contiguous() and part.is_contiguous() and made.numel() == part.numel()):
        return False
    try:
        place.view(made.shape)
    except RuntimeError:  # its rows are too far apart for that shape
        return False
    return made.dtype == place.dtype


def _copy(source: torch.Tensor, target: torch.Tensor) -> Call:
    return Call("clone", torch.Tensor.copy_, (target, source), {}, (target,), ())
