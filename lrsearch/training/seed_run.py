"""One seed of one trial: from the longest stored prefix to wherever the trial is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from ..errors import InvalidInput
from .plan import Plan
from .prefixes import Prefix, PrefixStore
from .program import EpochRecord, Program

SAVE_SECONDS = 30.0
"""A running trial is saved this often, and at its ends."""


class Trained(NamedTuple):
    """An epoch of a seed, and whether it came from a stored prefix."""

    record: EpochRecord
    shared: bool


class SeedRun:
    """Trains one trajectory epoch by epoch, beginning where the stored prefixes end.

    Args:
        plan: the controls.
        start: ``store_key(0)`` of the trajectory.
        n_epochs: how far it may be trained.
        prefixes: where states are found and left.
        build: makes a program of one lane at its initial weights; called when something has to be trained.
    """

    def __init__(
        self, plan: Plan, start: str, n_epochs: int, prefixes: PrefixStore, build: Callable[[], Program]
    ) -> None:
        self._plan = plan
        self._keys = plan.keys(start, n_epochs)
        self._prefixes = prefixes
        self._build = build
        self._program: Program | None = None
        self._stored = prefixes.longest(self._keys)
        self.records: list[EpochRecord] = list(self._stored[1].records) if self._stored else []
        self._n_stored = self._n_saved = len(self.records)
        self._saved_at = time.monotonic()

    def epoch(self, epoch: int) -> Trained:
        """The record of interval ``epoch``; called with 1, 2, 3, ..."""
        if epoch <= self._n_stored:
            return Trained(self.records[epoch - 1], True)
        program = self.program()
        self.records += program.run_epoch(epoch, self._plan.controls(epoch)[None])
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.keep()
        return Trained(self.records[-1], False)

    def program(self) -> Program:
        """The program, in the state after the last of ``records``."""
        if self._program is None:
            program = self._build()
            self._n_saved = done = self._restored(program)
            for epoch in range(done + 1, len(self.records) + 1):
                program.run_epoch(epoch, self._plan.controls(epoch)[None])
            self._program = program
        return self._program

    def _restored(self, program: Program) -> int:
        """Load the longest prefix that fits the program; how many epochs it has."""
        stored = self._stored
        while stored is not None:
            n_epochs, prefix = stored
            try:
                program.load(0, prefix.state)
            except InvalidInput:
                stored = self._prefixes.longest(self._keys[:n_epochs])
            else:
                return n_epochs
        return 0

    @property
    def restored(self) -> bool:
        """Whether every epoch so far came from a stored prefix."""
        return self._n_stored == len(self.records)

    def keep(self) -> None:
        """Store the state reached, unless it is there."""
        if self._program is not None and len(self.records) > self._n_saved:
            prefix = Prefix(tuple(self.records), self._program.save(0))
            self._prefixes.save(self._keys[len(self.records)], prefix)
            self._n_saved = len(self.records)
        self._saved_at = time.monotonic()
