"""What Optuna's samplers are shown: an in-memory study whose past can be rewritten."""

from __future__ import annotations

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, Trial


class Memory(InMemoryStorage):
    """One study's trials, each of which may be replaced: Optuna itself lets no trial change once it has ended.

    The one place that knows how ``InMemoryStorage`` keeps its trials. Trial ids equal numbers here.
    """

    def __init__(self, minimize: bool) -> None:
        super().__init__()
        self.study = optuna.create_study(direction="minimize" if minimize else "maximize", storage=self)

    def put(self, number: int, trial: FrozenTrial) -> None:
        """Make ``trial`` trial ``number``, which is there already or the next one."""
        trials = self._studies[self.study._study_id].trials
        trial.number = trial._trial_id = number
        if number < len(trials):
            trials[number] = trial
        else:
            trials.append(trial)
            self._trial_id_to_study_id_and_number[number] = (self.study._study_id, number)
            self._max_trial_id = number

    def forget(self, number: int) -> None:
        """Drop trial ``number`` and all after it."""
        trials = self._studies[self.study._study_id].trials
        for gone in range(number, len(trials)):
            del self._trial_id_to_study_id_and_number[gone]
        del trials[number:]
        self._max_trial_id = number - 1

    def ask(self, sampler: BaseSampler) -> Trial:
        """A running trial whose parameters ``sampler`` draws; it stays in memory until it is forgotten."""
        self.study.sampler = sampler
        return self.study.ask()
