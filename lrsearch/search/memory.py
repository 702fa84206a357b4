"""An in-memory study that Optuna's samplers are asked for, one trial at a time."""

from __future__ import annotations

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import Trial


class Memory(InMemoryStorage):
    """One study whose trials are forgotten: what samplers see of the past they are shown otherwise.

    The one place that knows how ``InMemoryStorage`` keeps its trials.
    """

    def __init__(self, minimize: bool) -> None:
        super().__init__()
        self.study = optuna.create_study(direction="minimize" if minimize else "maximize", storage=self)

    def forget(self) -> None:
        """Drop every trial."""
        self._studies[self.study._study_id].trials.clear()
        self._trial_id_to_study_id_and_number.clear()
        self._max_trial_id = -1

    def ask(self, sampler: BaseSampler) -> Trial:
        """A running trial whose parameters ``sampler`` draws; it stays in memory until it is forgotten."""
        self.study.sampler = sampler
        return self.study.ask()
