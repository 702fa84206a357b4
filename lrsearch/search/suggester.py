"""The suggester: what a study tries next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from ..space import Space
from ..study import TERMINAL, Outcome, StudySpec
from .samplers import SAMPLERS


class Suggester:
    """Suggestions of one study, each a function of the spec, its number, and the ends of trials 0..number-parallel.

    Nothing else matters: not restarts, not how many workers there are, not which trials finished first. It is kept
    between suggestions to be fast; a fresh one suggests the same. Threads may share it.

    Args:
        spec: a resolved spec.

    Raises:
        InvalidInput: its space breaks a law.
    """

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        self._sampler = SAMPLERS[spec.sampler.name](Space(spec))

    def suggest(self, number: int, history: Sequence[Outcome]) -> dict[str, JsonValue] | None:
        """The params of trial ``number``; None when a grid has no cell left.

        Args:
            number: the number the trial will have, >= 0.
            history: trials 0..number-1 (later ones are not looked at). Trials of any origin count as observations
                where their params lie in the space.
        """
        return self._sampler.params(number, history)

    def unlearned(self, start: int) -> Iterator[dict[str, JsonValue]]:
        """The params of trials ``start``, ``start`` + 1, ... while no result is known; without end, unless a grid's.

        Of a sampler that does not learn they are what it suggests after ``start`` trials of another origin.
        """
        return self._sampler.unlearned(start)

    def can_suggest(self, number: int, history: Sequence[Outcome]) -> bool:
        """Whether every trial has ended whose end suggestion ``number`` depends on: trials 0..number-window."""
        window = self.spec.window
        if window is None or number < window:
            return True
        needed = history[: number - window + 1]
        return len(needed) == number - window + 1 and all(outcome.state in TERMINAL for outcome in needed)
