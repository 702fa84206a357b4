"""Whether a task trains the same again: from the same seed, and from a stored state."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

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
    fresh = alone(), alone()
    if other := _differing(fresh[0].save(0), fresh[1].save(0)):
        raise InvalidInput(
            f"`model()` of task `{used.task.name}` must return the same weights for the same seed, and `{other}` "
            "differs: draw them from the global generators of torch, numpy or Python, which are seeded for it"
        )
    state = used.save(0)
    try:
        for program in fresh:
            program.load(0, state)
    except InvalidInput as error:
        raise InvalidInput(
            f"a model's weights and buffers must be there from the start and keep their shapes: {error}. Register "
            f"buffers of task `{used.task.name}` with their final shape in `__init__`"
        ) from None
    _train(used)
    after = used.save(0)
    for program in fresh:
        _train(program)
    counters = _counters(used)
    one, two = (program.save(0) for program in fresh)
    if not counters and _differing(one, two):
        raise InvalidInput(
            f"task `{used.task.name}` must train the same from the same state, and two updates of the same batch gave "
            "different weights: random numbers must come from the global generators of torch, numpy or Python, which "
            f"are seeded for every update, and nothing may depend on other things outside the model{_kept(*fresh)}"
        )
    if counters or _differing(after, one):
        raise InvalidInput(
            f"task `{used.task.name}` keeps something from update to update that is neither a weight nor a buffer of "
            "its model, so that a trial would train otherwise once it is stopped or shared: let the model keep it, by "
            f"`register_buffer`{_changed(counters) or _kept(used, fresh[0])}"
        )


def _differing(one: State, two: State) -> str | None:
    """The name of an array whose bits differ."""
    names = (name for name in one if name != POSITION)
    return next((name for name in names if not np.array_equal(one[name], two[name], equal_nan=True)), None)


def _kept(one: TorchProgram, two: TorchProgram) -> str:
    """Which attributes of the two programs' modules differ, to be added to a message."""
    ours, theirs = (_pickled(program.attributes()) for program in (one, two))
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
