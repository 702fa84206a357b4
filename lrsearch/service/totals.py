"""Numbers over all studies, for whoever watches the service."""

from __future__ import annotations

import time
from typing import NamedTuple

from .following import Following

FRESH_SECONDS = 5.0
"""So long totals are good enough."""
FRESH_COSTS = 50
"""Nor do they take more than one in so many seconds, however many trials there are."""


class Totals(NamedTuple):
    """Numbers over all studies.

    Attributes:
        studies: how many are in which state.
        trials: how many are in which state.
        epochs: trained (repeated ones among them), shared and repeated.
        leases: how many have not ended.
    """

    studies: dict[str, int]
    trials: dict[str, int]
    epochs: dict[str, int]
    leases: int


class Totalling(Following):
    """Totals, worked out when somebody asks."""

    _totals: tuple[Totals, float] | None = None

    def totals(self) -> Totals:
        """Numbers over all studies, at most a few seconds old.

        Raises:
            Unavailable: the database is away.
        """
        begun = time.monotonic()
        if self._totals is not None and begun < self._totals[1]:
            return self._totals[0]
        with self.store.transaction(write=False) as tx:
            trials, epochs = tx.trials.totals()
            found = Totals(tx.studies.states(), trials, epochs, tx.leases.n_live())
        end = time.monotonic()
        self._totals = found, end + max(FRESH_SECONDS, FRESH_COSTS * (end - begun))
        return found
