"""What a study may still spend."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ..store import Transaction
from ..study import Outcome, Study
from .ground import Ground


class Budgets(Ground):
    """Whether a study may begin another trial."""

    def _spent(self, tx: Transaction, study: Study) -> bool:
        """Whether the epochs or hours of the budget are used up."""
        budget = study.spec.budget
        if budget.epochs is not None and self._tallies.of(tx, study)[1].trained >= budget.epochs:
            return True
        limit = timedelta(hours=budget.hours) if budget.hours is not None else None
        return limit is not None and study.started_at is not None and tx.now() - study.started_at >= limit

    def _room(self, tx: Transaction, study: Study, *, drawn: int = 0) -> bool:
        """Whether the budget allows one more trial to train, after ``drawn`` that are not stored yet.

        Imported ones do not count. A budget of epochs alone bounds the trials too: those whose epochs are all shared
        would never use it up.
        """
        budget = study.spec.budget
        trials = budget.trials if budget.trials is not None else budget.epochs
        origins = self._sampler(study).origins(tx, study.name)
        counted = origins.total() - origins["imported"] + drawn
        return (trials is None or counted < trials) and not self._spent(tx, study)

    def _more_to_suggest(self, tx: Transaction, study: Study, *, drawn: int = 0) -> bool:
        return self._room(tx, study, drawn=drawn) and not self._grid_is_done(tx, study, drawn=drawn)

    def _grid_is_done(self, tx: Transaction, study: Study, *, drawn: int = 0) -> bool:
        cells = self._sampler(study).space.n_cells
        if study.spec.sampler.name != "grid" or cells is None:
            return False
        return self._sampler(study).origins(tx, study.name)["sampler"] + drawn >= cells

    def _history(self, tx: Transaction, study: Study) -> Sequence[Outcome]:
        """Every trial by number; called under the study's lock only."""
        return self._sampler(study).history(tx, study.name)
