"""A function that is called again and again on tensors that stay where they are."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

from .memory import Memory
from .products import quickened
from .recording import Call, Recording
from .shortening import shortened

Results = Mapping[str, torch.Tensor]
logger = logging.getLogger(__name__)

ORDINARY = 2
"""Calls before one is recorded, which costs as much as some more."""
LONGEST_SECONDS = 0.06
"""Of a call that is worth recording: a tape saves some milliseconds of it, and recording keeps every result."""


class Taped:
    """``function``, from a tape where that is worth it and gives the same bits.

    A tape holds what torch's operators did in one call. Playing it goes through no Python of the model's, no autograd
    and no vmap, and finds no memory. It is used only after a call in which it gave the very bits of ``function``.

    Args:
        function: gives new tensors by name. It draws from torch's generator of the processor only; the tensors it
            reads and changes are the same objects at every call.
    """

    def __init__(self, function: Callable[[], Results]) -> None:
        self._function = function
        self._next: Callable[[Taped], Results] = Taped._ordinary  # unbound: what has no cycle is freed at once
        self._n_ordinary, self._fastest = 0, math.inf
        self._quick = True
        self._calls: Sequence[Call] = ()
        self._results: Results = {}
        self._changed: Sequence[torch.Tensor] = ()

    def __call__(self) -> Results:
        """What ``function`` gives, in tensors that the next call may write again."""
        return self._next(self)

    @property
    def plays(self) -> bool:
        """Whether the next call is the tape's."""
        return self._next is Taped._played

    def _called(self) -> Results:
        return self._function()

    def _ordinary(self) -> Results:
        began = time.perf_counter()
        results = self._function()
        self._fastest = min(self._fastest, time.perf_counter() - began)
        self._n_ordinary += 1
        if self._n_ordinary == ORDINARY:
            self._next = Taped._recorded if self._fastest < LONGEST_SECONDS else Taped._called
        return results

    def _recorded(self) -> Results:
        with (recording := Recording()):
            results = self._function()
        if recording.unfit is not None:
            logger.info("not taped: %s", recording.unfit)
            self._next = Taped._called
            return results
        kept = list(results.values())
        calls = shortened(recording.calls, kept)
        memory = Memory(quickened(calls, kept) if self._quick else calls, kept)
        self._calls = memory.calls
        self._results = {name: memory.moved(tensor) for name, tensor in results.items()}
        self._changed = recording.changed
        self._next = Taped._compared
        return results

    def _compared(self) -> Results:
        """Call the function and the tape from the same start."""
        drawn, before = torch.get_rng_state(), _copies(self._changed)
        taped = [*_copies(self._played().values()), *_copies(self._changed)]
        torch.set_rng_state(drawn)
        with torch.no_grad():
            for tensor, copy in zip(self._changed, before, strict=True):
                tensor.copy_(copy)
        results = self._function()
        same = all(map(same_bits, taped, [*results.values(), *self._changed]))
        if not (same or self._quick):
            logger.info("not taped: it depends on more than its tensors")
        self._next = Taped._played if same else Taped._recorded if self._quick else Taped._called
        self._quick = self._quick and same
        return results

    @torch.no_grad()
    def _played(self) -> Results:
        for call in self._calls:
            call.run(*call.args, **call.kwargs)
        return self._results


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are equal; what is no number equals itself."""
    return one.shape == other.shape and torch.allclose(one.double(), other.double(), 0.0, 0.0, equal_nan=True)


def _copies(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    return [tensor.detach().clone() for tensor in tensors]
