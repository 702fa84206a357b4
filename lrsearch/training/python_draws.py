"""What a task's code draws from Python's and numpy's generators: a function of seed and update, as torch's is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ..tasks.initial import seed_python, seeded
from .tape import forbid, under_way


@contextmanager
def python_draws() -> Iterator[None]:
    """Inside, both generators start from the seed that torch's was last given; afterwards they are as before.

    A recording of what runs inside is forbidden where something is drawn: a tape knows torch's generator only.
    """
    seed = torch.initial_seed()
    with seeded(seed, torch_too=False):
        yield
        if under_way() and _moved(seed):
            forbid("it draws from Python's or numpy's generator")


def _moved(seed: int) -> bool:
    """Whether anything was drawn since both were started from ``seed``."""
    now = random.getstate(), _position()
    seed_python(seed)
    return now != (random.getstate(), _position())


def _position() -> tuple[object, ...]:
    name, keys, *rest = np.random.get_state()
    return name, np.asarray(keys).tobytes(), *rest
