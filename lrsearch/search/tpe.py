"""Optuna's TPE sampler, with what does not change between suggestions looked up instead of worked out anew."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.search_space.group_decomposed import _SearchSpaceGroup
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override


class SpaceTpe(TPESampler):
    """``TPESampler`` over the trials of a ``Memory``: the same suggestions, with less work for every trial seen.

    Two steps of Optuna's go over all trials in Python and cost more than the estimator itself. They lean on what holds
    here: the distribution of a label never changes, and numbers and indices are their own internal representation. The
    tests hold this class to Optuna's own, suggestion by suggestion.

    Args:
        seed: the suggestion's seed, in [0, 2^32).
        startup_trials: suggestions are random until so many trials have ended.
        candidates: points drawn from the good ones' density, of which the most promising is taken.
    """

    def __init__(self, seed: int, startup_trials: int, candidates: int) -> None:
        super().__init__(
            seed=seed,
            n_startup_trials=startup_trials,
            n_ei_candidates=candidates,
            multivariate=True,
            group=True,
            constant_liar=True,
        )

    @override
    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        group = _SearchSpaceGroup()
        known = set()
        for ended in study._get_trials(False, (TrialState.COMPLETE, TrialState.PRUNED), use_cache=True):
            labels = tuple(ended.distributions)
            # splitting groups by the same labels again changes nothing
            if labels not in known:
                known.add(labels)
                group.add_distributions(ended.distributions)
        self._search_space_group = group
        return {
            label: distribution
            for space in group.search_spaces
            for label, distribution in sorted(space.items())
            if not distribution.single()
        }

    @override
    def _get_internal_repr(
        self, trials: list[FrozenTrial], search_space: dict[str, BaseDistribution], study: Study
    ) -> dict[str, NDArray[Any]]:
        positions = {label: getattr(distribution, "choices", None) for label, distribution in search_space.items()}
        columns: dict[str, list[float]] = {label: [] for label in search_space}
        for trial in trials:
            params = trial.params
            if search_space.keys() <= params.keys():
                for label, choices in positions.items():
                    value = params[label]
                    columns[label].append(value if choices is None else choices.index(value))
        return {label: np.asarray(column, dtype=float) for label, column in columns.items()}
