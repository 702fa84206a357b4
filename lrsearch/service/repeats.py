"""Epochs that were trained though another trial had trained them: by another worker, or after their state was gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from ..store import Added, Transaction
from ..study import Study
from ..trajectory import KEY_BYTES, MOST_EPOCHS, first_key, known_keys, n_intervals
from .news import News


def trained_again(tx: Transaction, study: Study, taken: Sequence[News], stored: Sequence[Added]) -> list[int]:
    """How many of each report's fresh epochs another trial of the study had trained; notes all that were trained.

    Args:
        tx: the transaction that stores them.
        study: the study.
        taken: reports on its trials.
        stored: what became of their points.
    """
    recipe = study.spec.recipe()
    start = cache(lambda seed: first_key(recipe, seed))  # the same for every trial of the batch
    trained = [_trained_keys(study, start, news, added) for news, added in zip(taken, stored, strict=True)]
    first = tx.trained.add(study.name, [key for keys in trained for key in keys])
    counts = []
    for keys in trained:
        counts.append(sum(key not in first for key in keys))
        first.difference_update(keys)
    return counts


def _trained_keys(study: Study, start_of: Callable[[int], str], news: News, added: Added) -> list[bytes]:
    trial = news.trial
    if study.spec.external or trial.purpose != "trial" or trial.plan_key is None:
        return []
    if n_intervals(trial.schedule, study.updates_per_epoch) > MOST_EPOCHS:
        return []
    by_seed = {
        seed: known_keys(start_of(seed), trial.schedule, study.updates_per_epoch)
        for seed in {point.seed for point in added.fresh if not point.shared}
        if seed is not None
    }
    found = []
    for point in added.fresh:
        if not point.shared and point.seed is not None and point.epoch is not None:
            start = (point.epoch - 1) * KEY_BYTES
            found.append(by_seed[point.seed][start : start + KEY_BYTES])
    return found
