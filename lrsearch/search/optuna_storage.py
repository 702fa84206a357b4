"""A study as a study in an Optuna storage, for Optuna's own tools: ``optuna.load_study``, optuna-dashboard."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ..errors import Conflict, InvalidInput
from ..space import Choices, Dimension, Interval, Listed, Space, Spaced, Steps
from ..study import Best, Point, Study, Trial, by_epoch, mean_metrics
from .quiet import quiet

STATES: Mapping[str, TrialState] = MappingProxyType(
    {
        "queued": TrialState.WAITING,
        "running": TrialState.RUNNING,
        "waiting": TrialState.RUNNING,
        "completed": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "diverged": TrialState.FAIL,
        "failed": TrialState.FAIL,
        "cancelled": TrialState.FAIL,
    }
)
"""Optuna's state for each of ours; ours itself is kept in the trial's attributes."""
TOLD = (
    "state", "origin", "attempts", "worker", "seconds", "metrics", "values", "retry_of", "stopped_at", "error",
    "diverged_at", "confirmed", "test",
)  # fmt: skip
"""What a trial's user attributes say of it besides its schedule, params and epochs."""


def write_study(address: str, study: Study, trained: Iterable[tuple[Trial, list[Point]]], best: Best | None) -> int:
    """Write a study and its trials to an Optuna storage.

    Trials keep their numbers. Intermediate values are the objective at every reporting interval, the mean over seeds.
    What Optuna has no place for is in user attributes.

    Args:
        address: a URL that SQLAlchemy takes, ``sqlite:///x.db``; or ``journal:FILE``.
        study: the study, resolved.
        trained: its trials by number, from 0, each with its points; those at the end that nobody began are left out.
        best: its best trial; by confirmed mean, where some were confirmed, so it need not be Optuna's.

    Returns:
        The number of trials written.

    Raises:
        InvalidInput: the storage cannot be opened.
        Conflict: it has a study of this name already.
    """
    with quiet():
        storage = _storage(address)
        try:
            direction = StudyDirection.MINIMIZE if study.spec.minimize else StudyDirection.MAXIMIZE
            written = optuna.create_study(storage=storage, study_name=study.name, direction=direction)
        except optuna.exceptions.DuplicatedStudyError:
            raise Conflict(
                f"{address} has a study `{study.name}` already: delete that first, or name another storage"
            ) from None
        written.set_metric_names([study.spec.objective.metric or "value"])
        for name, value in _attributes(study, best).items():
            written.set_user_attr(name, value)
        space = _Distributions(Space(study.spec, study.updates_per_epoch)) if _has_space(study) else None
        n, unbegun = 0, list[FrozenTrial]()
        for trial, points in trained:
            unbegun.append(_frozen(study, trial, points, space))
            if trial.state != "queued" or trial.attempts > 0:
                written.add_trials(unbegun)
                n, unbegun = n + len(unbegun), []
        storage.remove_session()
        return n


def _storage(address: str) -> BaseStorage:
    kind, _, file = address.partition(":")
    try:
        if kind == "journal":
            return JournalStorage(JournalFileBackend(file))
        return RDBStorage(address.replace("postgresql://", "postgresql+psycopg://", 1))
    except Exception as error:  # whatever a database's driver raises
        raise InvalidInput(
            f"no Optuna storage can be opened at {address!r:.200} ({' '.join(str(error).split())[:200]}): name a URL "
            "such as sqlite:///x.db, or journal:FILE",
            field="--to",
        ) from error


def _has_space(study: Study) -> bool:
    return study.spec.updates is not None or study.updates_per_epoch is not None or study.spec.external


def _attributes(study: Study, best: Best | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "task": study.spec.task,
        "state": study.state,
        "owner": study.owner,
        "spec": study.spec.model_dump(mode="json"),
        "epochs": study.progress.epochs.model_dump(),
        "labels": dict(study.spec.labels),
    }
    if best is not None:
        told["best_trial"] = best.trial
    return told


class _Distributions:
    """What may vary, in Optuna's words: the values themselves, where the samplers inside work with positions."""

    def __init__(self, space: Space) -> None:
        self._of: dict[str, dict[str, tuple[str, BaseDistribution]]] = {}
        everywhere: dict[str, list[Dimension]] = {}
        for family in space.families:
            for name, dimension in space.dimensions(family).items():
                everywhere.setdefault(name, []).append(dimension)
        for family in space.families:
            self._of[family] = {
                name: (
                    name if all(one == dimension for one in everywhere[name]) else f"{family}.{name}",
                    distribution(dimension),
                )
                for name, dimension in space.dimensions(family).items()
            }
        self._families = CategoricalDistribution(space.families) if len(space.families) > 1 else None

    def params(self, trial: Trial) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """A trial's params and their distributions; what lies outside of the space is left out."""
        params: dict[str, Any] = {}
        distributions: dict[str, BaseDistribution] = {}
        family = trial.schedule.family
        if self._families is not None and family in self._of and "family" in trial.params:
            params["family"], distributions["family"] = family, self._families
        for name, (label, its) in self._of.get(family, {}).items():
            if name in trial.params and its._contains(its.to_internal_repr(_scalar(trial.params[name]))):
                params[label], distributions[label] = _scalar(trial.params[name]), its
        return params, distributions


def _frozen(study: Study, trial: Trial, points: list[Point], space: _Distributions | None) -> FrozenTrial:
    state = STATES[trial.state]
    metric = study.spec.objective.metric or ""
    reached = {
        epoch: math.nan if (value := mean_metrics(its).get(metric)) is None else value
        for epoch, its in by_epoch(points).items()
        if any(metric in point.metrics for point in its)
    }
    last = list(reached.values())[-1] if reached else math.nan
    value = trial.value if state is TrialState.COMPLETE else last if state is TrialState.PRUNED else None
    if state is TrialState.COMPLETE and value is None:
        state = TrialState.FAIL
    params, distributions = space.params(trial) if space is not None else ({}, {})
    began = trial.started_at or trial.created_at or study.created_at
    told = trial.model_dump(mode="json", include=set(TOLD), exclude_none=True)
    return FrozenTrial(
        number=trial.number,
        trial_id=-1,  # drawn by the storage
        state=state,
        value=None if value is None or math.isnan(value) else value,
        datetime_start=None if state is TrialState.WAITING else _local(began),
        datetime_complete=_local(trial.finished_at or began) if state.is_finished() else None,
        params=params,
        distributions=distributions,
        user_attrs={
            "schedule": trial.schedule.model_dump(mode="json", exclude_none=True),
            "params": trial.params,
            "epochs_trained": trial.epochs.trained,
            "epochs_shared": trial.epochs.shared,
            "epochs_repeated": trial.epochs.repeated,
            **told,
        },
        system_attrs={},
        intermediate_values=reached,
    )


def _local(moment: datetime) -> datetime:
    """As Optuna keeps moments: this machine's time, without saying so."""
    return moment.astimezone().replace(tzinfo=None)


def _scalar(value: Any) -> Any:
    """A choice as Optuna takes it: lists and mappings as JSON."""
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)


def distribution(dimension: Dimension) -> BaseDistribution:
    """The values of a dimension as Optuna's distribution."""
    return next(make(dimension) for kind, make in DISTRIBUTIONS.items() if isinstance(dimension, kind))


def _stepped(dimension: Steps) -> BaseDistribution:
    if dimension.log:
        return _listed(dimension)
    low, high = (float(str(dimension.value(index))) for index in (0, dimension.count - 1))
    if isinstance(dimension.value(0), int):
        return IntDistribution(int(low), int(high), step=int(dimension.step))
    return FloatDistribution(low, high, step=dimension.step)


def _listed(dimension: Listed | Spaced | Choices | Steps) -> BaseDistribution:
    return CategoricalDistribution([_scalar(dimension.value(index)) for index in range(dimension.n)])


DISTRIBUTIONS: Mapping[type[Dimension], Callable[[Any], BaseDistribution]] = MappingProxyType(
    {
        Interval: lambda its: FloatDistribution(its.low, its.high, log=its.log),
        Steps: _stepped,
        Choices: _listed,
        Listed: _listed,
        Spaced: _listed,
    }
)
"""How each kind of dimension is said in Optuna's words."""
