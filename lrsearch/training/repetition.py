"""Whether a task trains the same again: from the same seed, and from a stored state."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import torch

from ..errors import InvalidInput
from .program import State
from .torch_lane import POSITION
from .torch_program import TorchProgram

RATE = 1e-3


def check_repeats(alone: Callable[[], TorchProgram], used: TorchProgram) -> None:
    """Train one more update in ``used`` and, from its state, in two fresh programs: all must end at the same bits.

    Args:
        alone: makes a fresh program.
        used: one that has trained some updates.

    Raises:
        InvalidInput: the task draws from elsewhere than the global generators, or keeps what is no part of a state.
    """
    state = used.save(0)
    one, two = (_once(alone, state) for _ in range(2))  # one after the other: each takes the memory of a training
    if other := _differing(one.begun, two.begun):
        raise InvalidInput(
            f"`model()` of task `{used.task.name}` must return the same weights for the same seed, and `{other}` "
            "differs: draw them from the global generators of torch, numpy or Python, which are seeded for it"
        )
    _train(used)
    after = Once(one.begun, used.save(0), _pickled(used.attributes()))
    counters = _counters(used)
    if not counters and _differing(one.after, two.after):
        raise InvalidInput(
            f"task `{used.task.name}` must train the same from the same state, and two updates of the same batch gave "
            "different weights: random numbers must come from the global generators of torch, numpy or Python, which "
            f"are seeded for every update, and nothing may depend on other things outside the model{_kept(one, two)}"
        )
    if counters or _differing(after.after, one.after):
        raise InvalidInput(
            f"task `{used.task.name}` keeps something from update to update that is neither a weight nor a buffer of "
            "its model, so that a trial may train otherwise once it is stopped or shared: leave it out, or let the "
            f"model keep it, by `register_buffer`{_changed(counters) or _kept(after, one)}"
        )


class Once(NamedTuple):
    """One update from a state: the weights that the program began with, those afterwards, and its attributes then."""

    begun: State
    after: State
    attributes: Mapping[str, bytes]


def _once(alone: Callable[[], TorchProgram], state: State) -> Once:
    program = alone()
    begun = program.save(0)
    try:
        program.load(0, state)
    except InvalidInput as error:
        raise InvalidInput(
            f"a model's weights and buffers must be there from the start and keep their shapes: {error}. Register "
            f"buffers of task `{program.task.name}` with their final shape in `__init__`"
        ) from None
    _train(program)
    return Once(begun, program.save(0), _pickled(program.attributes()))


def _differing(one: State, two: State) -> str | None:
    """The name of an array whose bits differ."""
    names = (name for name in one if name != POSITION)
    return next((name for name in names if not np.array_equal(one[name], two[name], equal_nan=True)), None)


def _kept(one: Once, two: Once) -> str:
    """Which attributes of the modules differ, to be added to a message."""
    ours, theirs = one.attributes, two.attributes
    return _changed([name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)])


def _counters(used: TorchProgram) -> list[str]:
    """The names of numbers that every update changes by as much: something may depend on them one day."""
    one = _numbers(used)
    _train(used)
    two = _numbers(used)
    if one == two:
        return []
    _train(used)
    three = _numbers(used)
    every = one.keys() & two.keys() & three.keys()
    return [name for name in sorted(every) if three[name] - two[name] == two[name] - one[name] != 0]


def _numbers(program: TorchProgram) -> dict[str, float]:
    return {name: value for name, value in program.attributes().items() if isinstance(value, int | float)}


def _train(program: TorchProgram) -> None:
    program.train_only(np.full((1, 1), RATE))


def _changed(names: Sequence[str]) -> str:
    return f" (changed: {', '.join(names[:5])})" if names else ""


def _pickled(attributes: Mapping[str, object]) -> dict[str, bytes]:
    found = {}
    for name, value in attributes.items():
        with suppress(Exception):  # what cannot be compared is not named
            found[name] = pickle.dumps(value.get_state() if isinstance(value, torch.Generator) else value)
    return found
