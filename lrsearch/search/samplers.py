"""The samplers: grid in a seeded order, and Optuna's random and TPE samplers with a seed for each suggestion."""

from __future__ import annotations

import hashlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from optuna.samplers import RandomSampler
from pydantic import JsonValue
from typing_extensions import override

from ..space import Space
from ..study import Outcome
from .memory import Memory
from .permutation import Permutation
from .quiet import quiet
from .seen import Seen
from .tpe import SpaceTpe

Params = dict[str, JsonValue]


class Sampler(ABC):
    """Proposes the params of suggestion ``number``, from the trials before it."""

    HELP: ClassVar[str]

    def __init__(self, space: Space) -> None:
        self.space = space
        self.spec = space.spec.sampler

    @abstractmethod
    def params(self, number: int, history: Sequence[Outcome]) -> Params | None:
        """The params, or None where there is nothing left to propose."""

    def unlearned(self, start: int) -> Iterator[Params]:
        """The params of suggestions ``start``, ``start`` + 1, ... while nothing else is known."""
        for number in itertools.count(start):
            params = self.params(number, ())
            assert params is not None, "only a grid comes to an end"
            yield params

    def seed_of(self, number: int) -> int:
        """The seed of suggestion ``number``, in [0, 2^32): a hash of it and the sampler's seed."""
        digest = hashlib.blake2b(f"{self.spec.seed}:{number}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "little")


class Grid(Sampler):
    """Every cell once, in an order drawn by the seed; memory and time do not grow with the grid."""

    HELP = "every combination of the points once, in a seeded order"

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        assert space.n_cells is not None, "a space with continuous ranges has no grid, as Space has told"
        self._cell_at = Permutation(space.n_cells, self.spec.seed)

    @override
    def params(self, number: int, history: Sequence[Outcome]) -> Params | None:
        drawn = sum(outcome.number < number and outcome.origin == "sampler" for outcome in history)
        return self.space.cell(self._cell_at(drawn)) if drawn < self._cell_at.n else None

    @override
    def unlearned(self, start: int) -> Iterator[Params]:
        return (self.space.cell(self._cell_at(index)) for index in range(self._cell_at.n))


class Random(Sampler):
    """Every suggestion drawn by itself, whatever came of the others: ``optuna.samplers.RandomSampler``."""

    HELP = "every suggestion drawn for itself, evenly over the space"

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        with quiet():
            self._memory = Memory(space.spec.minimize)

    @override
    def params(self, number: int, history: Sequence[Outcome]) -> Params:
        with quiet():
            trial = self._memory.ask(RandomSampler(seed=self.seed_of(number)))
            try:
                return self.space.suggest(trial)
            finally:
                self._memory.forget()


class Tpe(Sampler):
    """Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011): ``optuna.samplers.TPESampler``, multivariate.

    What it has seen is kept between suggestions and brought forward; the trials shown are a function of the history
    alone, so a fresh sampler suggests the same.
    """

    HELP = "learns from finished trials where good values are likely (tree-structured Parzen estimator)"
    STARTUP_TRIALS = 10
    """Suggestions are random until this many trials can be seen."""
    CANDIDATES = 24

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        self._seen = Seen(space, self.spec.parallel or space.spec.DEFAULT_PARALLEL)
        with quiet():
            self._memory = Memory(space.spec.minimize)
            self._tpe = SpaceTpe(self.STARTUP_TRIALS, self.CANDIDATES, self._seen)

    @override
    def params(self, number: int, history: Sequence[Outcome]) -> Params:
        with quiet():
            self._seen.show(history, number)
            self._tpe.begin(self.seed_of(number))
            try:
                return self.space.suggest(self._memory.ask(self._tpe))
            finally:
                self._memory.forget()


SAMPLERS: Mapping[str, type[Sampler]] = MappingProxyType({"grid": Grid, "random": Random, "tpe": Tpe})
"""Every sampler by name."""
