"""Tallies: a study's trials by state and their epochs, without counting at every look those that ended long ago."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from ..store import Transaction
from ..study import EpochProgress, Study

SLACK = 64
"""So many trials are counted anew at every look before the ended ones among them are remembered."""
MOST_STUDIES = 1024


@dataclass(frozen=True)
class _Ended:
    """The trials numbered below ``end``, all of which have ended: nothing of this ever changes again."""

    created_at: datetime
    end: int = 0
    states: Counter[str] = field(default_factory=Counter)
    epochs: Counter[str] = field(default_factory=Counter)


class Tallies:
    """Tallies of studies. Thread-safe, and true whatever other processes store meanwhile."""

    def __init__(self) -> None:
        self._known: dict[str, _Ended] = {}

    def of(self, tx: Transaction, study: Study) -> tuple[dict[str, int], EpochProgress]:
        """Number of trials by state, states without trials left out; and epochs, over all trials and seeds."""
        known = self._known.get(study.name)
        if known is None or known.created_at != study.created_at:
            known = _Ended(study.created_at)
        states, epochs = _counted(tx, study.name, known.end)
        if states.total() > SLACK and not tx.trials.n_writes:  # what this transaction changed may yet be undone
            self._extend(tx, study, known, states, epochs)
        states += known.states
        epochs += known.epochs
        asked = epochs["trained"] - epochs["repeated"] + epochs["shared"]
        return dict(sorted(states.items())), EpochProgress(asked=asked, **epochs)

    def _extend(self, tx: Transaction, study: Study, known: _Ended, states: Counter[str], epochs: Counter[str]) -> None:
        """Remember what has ended since; ``states`` and ``epochs`` are those of all trials from ``known.end`` on."""
        end = tx.trials.first_open(study.name, start=known.end)
        if end == known.end:
            return
        later_states, later_epochs = _counted(tx, study.name, end)
        ended = _Ended(
            study.created_at, end, known.states + (states - later_states), known.epochs + (epochs - later_epochs)
        )
        self._known.pop(study.name, None)
        self._known[study.name] = ended
        while len(self._known) > MOST_STUDIES:
            self._known.pop(next(iter(self._known)), None)


def _counted(tx: Transaction, name: str, start: int) -> tuple[Counter[str], Counter[str]]:
    states, epochs = tx.trials.states(name, start=start)
    return Counter(states), Counter(trained=epochs.trained, shared=epochs.shared, repeated=epochs.repeated)
