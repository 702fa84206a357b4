"""Optuna's TPE sampler over columns, without a step in Python for every trial seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.sampler import default_gamma
from optuna.search_space.group_decomposed import _SearchSpaceGroup
from optuna.study import Study
from optuna.trial import FrozenTrial
from typing_extensions import override

from .density import log_pdf
from .seen import Rows, Seen


class SpaceTpe(TPESampler):
    """``TPESampler`` over the trials of a ``Seen``: the same suggestions, with less work for every trial seen.

    Optuna's own goes over all trials in Python several times a suggestion, which costs far more than the estimator
    itself. The study that asks holds no trials; estimators, their densities and the draws are Optuna's. The tests hold
    this class to Optuna's own, suggestion by suggestion.

    It is kept from one suggestion to the next and given a ``seed`` for each: making one costs as much as a tenth of a
    suggestion.

    Args:
        startup_trials: suggestions are random until so many trials have ended.
        candidates: points drawn from the good ones' density, of which the most promising is taken.
        seen: what the suggestion sees.
    """

    def __init__(self, startup_trials: int, candidates: int, seen: Seen) -> None:
        super().__init__(
            n_startup_trials=startup_trials,
            n_ei_candidates=candidates,
            multivariate=True,
            group=True,
            constant_liar=True,
        )
        self._seen = seen
        self._random = True

    def begin(self, seed: int) -> None:
        """Be as a fresh one of this seed, in [0, 2^32), that sees what is shown now."""
        self._rng.rng.seed(seed)
        self._random_sampler._rng.rng.seed(seed)
        self._random = self._seen.n_ended < self._n_startup_trials

    @override
    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        group = _SearchSpaceGroup()
        for distributions in self._seen.groups():
            group.add_distributions(distributions)
        self._search_space_group = group
        return {
            label: distribution
            for space in group.search_spaces
            for label, distribution in sorted(space.items())
            if not distribution.single()
        }

    @override
    def _sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {} if self._random or not search_space else self._sample(study, trial, search_space)

    @override
    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if self._random:
            return self._random_sampler.sample_independent(study, trial, param_name, param_distribution)
        return self._sample(study, trial, {param_name: param_distribution})[param_name]

    @override
    def _sample(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        below, above = (
            self._estimator(rows, search_space) for rows in self._seen.split(default_gamma(self._seen.n_ended))
        )
        candidates = below.sample(self._rng.rng, self._n_ei_candidates)
        drawn = self._compare(candidates, self._compute_acquisition_func(candidates, below, above))
        return {label: distribution.to_external_repr(drawn[label]) for label, distribution in search_space.items()}

    @override
    def _compute_acquisition_func(self, samples: dict[str, Any], mpe_below: Any, mpe_above: Any) -> Any:
        below, above = (
            log_pdf(estimator._mixture_distribution, estimator._transform(samples))
            for estimator in (mpe_below, mpe_above)
        )
        return below - above

    def _estimator(self, rows: Rows, search_space: dict[str, BaseDistribution]) -> Any:
        seen: dict[str, NDArray[np.float64]] = self._seen.params(rows, list(search_space))
        return self._parzen_estimator_cls(seen, search_space, self._parzen_estimator_parameters)
