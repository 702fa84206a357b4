"""A function that is called again and again on tensors that stay where they are."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any
from weakref import ref

import torch

from .draws import with_draws_marked
from .graph import Graph, Watch
from .memory import Memory
from .pooling import pooled_first
from .products import quickened
from .recording import Recording
from .shortening import shortened
from .tape import Drawn, Experience, Played, Tape, nobody

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
        function: gives new tensors by name, on a processor. It draws from that one's generator of torch only; the
            tensors it reads and changes are the same objects at every call.
        given: those of them that another function like this one has others for.
        before: what is known of those like it.
        proven: whether their tape gave the very bits of this function already.

    Attributes:
        known: what is known of functions like it, from ``before`` on.
    """

    def __init__(
        self,
        function: Callable[[], Results],
        given: Sequence[torch.Tensor] = (),
        before: Experience | None = None,
        *,
        proven: bool = False,
    ) -> None:
        self._function = function
        self._given = given
        self.known = before or Experience()
        self._played: Played | Graph | None = None if self.known.tape is None else self.known.tape.on(given)
        self._moment: Hashable = None
        self._refused: Tape | None = None
        self._borrowed, self._quick = self._played is not None, True
        # unbound: what has no cycle is freed at once
        self._next: Callable[[Taped], Results] = self._recorded_or(Taped._ordinary)
        if self._played is not None:
            self._next = Taped._replayed if proven else Taped._compared
        elif self.known.unfit:
            self._next = Taped._called

    def __call__(self, moment: Hashable = None) -> Results:
        """What ``function`` gives, in tensors that the next call may write again.

        Args:
            moment: whoever names the same one has started the generator alike, so that what was drawn may serve again.
        """
        self._moment = moment
        return self._next(self)

    @property
    def plays(self) -> bool:
        """Whether the next call is the tape's."""
        return self._next is Taped._replayed

    def _called(self) -> Results:
        return self._function()

    def _ordinary(self) -> Results:
        began = time.perf_counter()
        results = self._function()
        known = self.known
        known.fastest = min(known.fastest, time.perf_counter() - began)
        known.n_calls += 1
        if known.n_calls >= ORDINARY:
            self._next = self._recorded_or(Taped._called)
        return results

    def _recorded_or(self, otherwise: Callable[[Taped], Results]) -> Callable[[Taped], Results]:
        known = self.known
        return type(self)._recorded if known.n_calls >= ORDINARY and known.fastest < LONGEST_SECONDS else otherwise

    def _recorded(self) -> Results:
        if self.known.unfit:
            self._next = Taped._called
            return self._function()
        if self._borrow():
            return self._compared()
        if (other := self.known.recorder()) is not None and other is not self:
            return self._function()  # until its tape is there for both
        self.known.recorder = ref(self)
        with (recording := Recording()):
            results = self._function()
        if recording.unfit is not None:
            self._give_up(recording.unfit)
            return results
        kept = list(results.values())
        calls = shortened(recording.calls, kept)
        if self._quick:
            calls = quickened(pooled_first(calls, kept), kept)
        memory = Memory(with_draws_marked(calls), kept)
        homes = {name: memory.moved(tensor) for name, tensor in results.items()}
        self._played, self._borrowed = Played(memory.calls, homes, recording.changed, Drawn()), False
        self._next = Taped._compared
        return results

    def _borrow(self) -> bool:
        """Take what another one has recorded meanwhile; whether there is something."""
        tape = self.known.tape
        if tape is None or tape is self._refused or (played := tape.on(self._given)) is None:
            return False
        self._played, self._borrowed, self._next = played, True, Taped._compared
        return True

    def _compared(self) -> Results:
        """Call the function and the tape from the same start."""
        assert self._played is not None
        changed = self._played.changed
        drawn, before = self._generators(), _copies(changed)
        taped = [*_copies(self._played.play().values()), *_copies(changed)]
        self._set_generators(drawn)
        with torch.no_grad():
            for tensor, copy in zip(changed, before, strict=True):
                tensor.copy_(copy)
        results = self._function()
        if all(map(same_bits, taped, [*results.values(), *changed])):
            self._next = Taped._replayed
            if isinstance(self._played, Played) and not self._borrowed:
                self.known.tape, self.known.recorder = Tape.of(self._played, self._given), nobody
        elif self._borrowed:
            self._next, self._refused = Taped._recorded, self.known.tape
        elif self._quick:
            self._next, self._quick = Taped._recorded, False
        else:
            self._give_up("it depends on more than its tensors")
        return results

    def _give_up(self, why: str) -> None:
        logger.info("not replayed: %s", why)
        self.known.unfit, self.known.recorder, self._next, self._played = True, nobody, Taped._called, None

    def _generators(self) -> list[torch.Tensor]:
        return [torch.get_rng_state()]

    def _set_generators(self, states: list[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])

    def _replayed(self) -> Results:
        assert self._played is not None
        return self._played.play(self._moment)


class Graphed(Taped):
    """The same on a GPU, in a ``Graph`` in place of a tape; its functions share what is known, but no graphs.

    The function may draw from the device's generator, too.

    Args:
        pool: the memory of all graphs that are never played at the same time.
    """

    def __init__(self, *args: Any, pool: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pool = pool

    def _recorded(self) -> Results:
        with (watch := Watch()):
            results = self._function()
        if watch.unfit is not None:
            self._give_up(watch.unfit)
            return results
        try:
            self._played, self._quick = Graph(self._function, watch, self._given[0].device, self._pool), False
            self._next = Taped._compared
        except torch.OutOfMemoryError:  # of this moment: the function itself has just had enough
            self._next = Taped._called
        except RuntimeError as error:
            self._give_up(str(error))
        return results

    def _generators(self) -> list[torch.Tensor]:
        return [torch.get_rng_state(), torch.cuda.get_rng_state(self._given[0].device)]

    def _set_generators(self, states: list[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])
        torch.cuda.set_rng_state(states[1], self._given[0].device)


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are equal, signs of zeros included; what is no number equals itself."""
    one, other = (torch.view_as_real(t.resolve_conj()) if t.is_complex() else t for t in (one, other))
    if one.shape != other.shape or not torch.allclose(one.double(), other.double(), 0.0, 0.0, equal_nan=True):
        return False
    return bool(((one.signbit() == other.signbit()) | one.isnan()).all())


def _copies(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    return [tensor.detach().clone() for tensor in tensors]
