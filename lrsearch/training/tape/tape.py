"""What was recorded, for any tensors like those that it was recorded with."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from .recording import Call, storage_of, tensors_in

MOST_BYTES = 2**27
"""What kept tapes may hold together."""
CALL_BYTES = 2**10
"""About what a call takes beside the memory that it works in."""


class Place(NamedTuple):
    """A view of one of the tensors that a function is given."""

    number: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    def of(self, given: Sequence[torch.Tensor]) -> torch.Tensor:
        """The view of those given now."""
        return given[self.number].as_strided(self.size, self.stride, self.offset)


class Layout(NamedTuple):
    """How a given tensor lies in its memory."""

    dtype: torch.dtype
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Layout:
        """A tensor's."""
        return cls(tensor.dtype, tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()))


@dataclass(slots=True, eq=False)
class Drawn:
    """For which moment the draws in a tape's memory were made; None = nobody said."""

    moment: Hashable = None


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A tape on the tensors it is played on.

    Attributes:
        calls: in order.
        results: what they leave, by name.
        changed: the tensors that were there before and are written.
        drawn: what all that play the tape know of its memory.
    """

    calls: Sequence[Call]
    results: Mapping[str, torch.Tensor]
    changed: Sequence[torch.Tensor]
    drawn: Drawn

    @torch.no_grad()
    def play(self, moment: Hashable = None) -> Mapping[str, torch.Tensor]:
        """The results, in tensors that the next playing writes again.

        Args:
            moment: tells how the generator was started. What was drawn for the same moment just before is not drawn
                again; the generator stays where it is then.
        """
        known = moment is not None and moment == self.drawn.moment
        self.drawn.moment = None  # unless all goes well
        for call in self.calls:
            if not (known and call.drawn):
                call.run(*call.args, **call.kwargs)
        self.drawn.moment = moment
        return self.results


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Tape:
    """A recording without the tensors that its function was given.

    Attributes:
        played: with a ``Place`` wherever it had a view of one of those.
        layouts: theirs.
        n_bytes: about what it takes.
    """

    played: Any
    layouts: tuple[Layout, ...]
    n_bytes: int

    @classmethod
    def of(cls, played: Played, given: Sequence[torch.Tensor]) -> Tape | None:
        """The tape of what was recorded; None where it changes what it was not given, or sees it as another type."""
        numbers = {storage_of(tensor): number for number, tensor in reversed(list(enumerate(given)))}
        if any(storage_of(tensor) not in numbers for tensor in played.changed):
            return None
        held = _touched(played)
        own = [tensor for tensor in held if storage_of(tensor) in numbers]
        if any(tensor.dtype != given[numbers[storage_of(tensor)]].dtype for tensor in own):
            return None

        def place(tensor: torch.Tensor) -> Place | torch.Tensor:
            number = numbers.get(storage_of(tensor))
            if number is None:
                return tensor
            return Place(number, tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()))

        written = [tensor for call in played.calls for tensor in (*call.fresh, *call.changed)]
        homes = {storage_of(t): t.untyped_storage().nbytes() for t in written if storage_of(t) not in numbers}
        n_bytes = sum(homes.values()) + CALL_BYTES * len(played.calls)
        return cls(_mapped(played, torch.Tensor, place), tuple(map(Layout.of, given)), n_bytes)

    def on(self, given: Sequence[torch.Tensor]) -> Played | None:
        """The tape on other tensors; None where they lie in their memory in another way."""
        if tuple(map(Layout.of, given)) != self.layouts:
            return None
        found: Played = _mapped(self.played, Place, lambda place: place.of(given))
        return found


def nobody() -> None:
    """Who records a function where nobody does."""


@dataclass(slots=True, eq=False)
class Experience:
    """What is known of functions that do the same.

    Attributes:
        n_calls: how often they were called, as long as they were not taped.
        fastest: seconds of the fastest of those.
        tape: what was recorded of one, and played the same.
        unfit: whether one was found that must not be played.
        recorder: gives who records one, as long as that one lives: others wait for its tape, to share its memory.
    """

    n_calls: int = 0
    fastest: float = math.inf
    tape: Tape | None = None
    unfit: bool = False
    recorder: Callable[[], object] = nobody


class Tapes:
    """What is known of calls, for whoever makes the like. Beyond ``MOST_BYTES`` the tapes taken up first are forgotten.

    A tape's memory is shared by all that play it, one at a time.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Experience] = OrderedDict()
        self._newest: dict[Hashable, tuple[int, Experience]] = {}

    def of(self, kind: Hashable, size: int = 1) -> Experience:
        """What is known of the calls of one kind on tensors of one size.

        Where one of another size was taped, the first call of this one may be recorded: it is no longer asked whether
        that pays, only whether the call is short enough, as the other one's time tells.
        """
        key = kind, size
        if key not in self._known:
            other_size, other = self._newest.get(kind, (size, Experience()))
            self._known[key] = found = Experience()
            if other.tape is not None:
                found.n_calls, found.fastest = other.n_calls, other.fastest * max(1.0, size / other_size)
        found = self._known[key]
        self._newest[kind] = size, found
        self._known.move_to_end(key)
        room = MOST_BYTES
        for known in reversed(self._known.values()):
            room -= 0 if known.tape is None else known.tape.n_bytes
            if room < 0:
                known.tape = None
        return found


def _touched(played: Played) -> list[torch.Tensor]:
    return [*(tensor for call in played.calls for tensor in call.touched), *tensors_in(list(played.results.values()))]


def _mapped(played: Any, kind: type, move: Callable[[Any], Any]) -> Any:
    """``played`` with everything in it of one kind replaced."""

    def moved(nested: Any) -> Any:
        if isinstance(nested, kind):
            return move(nested)
        return type(nested)(map(moved, nested)) if type(nested) in (list, tuple) else nested

    def named(items: Mapping[str, Any]) -> dict[str, Any]:
        return {name: moved(item) for name, item in items.items()}

    calls = [
        replace(call, args=moved(call.args), kwargs=named(call.kwargs), fresh=(), changed=()) for call in played.calls
    ]
    return Played(calls, named(played.results), [moved(tensor) for tensor in played.changed], played.drawn)
