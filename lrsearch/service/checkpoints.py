"""Weights of trials: kept in the prefix store while their study has them among its best, and handed out."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import JsonValue

from ..errors import LrsearchError, NotFound
from ..store import Transaction
from ..study import ReportAnswer, ReportRequest, Study
from .trials import Trials

if TYPE_CHECKING:
    from ..training.prefixes import PrefixStore

log = logging.getLogger("lrsearch.service")


class Checkpoints(Trials):
    """The weights of the best and the confirmed trials stay stored as long as their study does."""

    @cached_property
    def _prefixes(self) -> PrefixStore:
        """The prefix store as this process reaches it."""
        from ..training.prefixes import PrefixStore

        return PrefixStore.default()

    def checkpoint(self, name: str, trial: int | None = None) -> bytes:
        """The weights of a trial (None: the best one) at its end, of its first seed, as a safetensors file.

        The arrays have the names of the model's own ``state_dict``.

        Raises:
            NotFound: no such study or trial, none has completed yet, or its weights are not where the service looks.
        """
        from ..training.checkpoint import weights

        with self.store.transaction(write=False) as tx:
            study = tx.studies.get(name)
            found = tx.trials.get(name, self._chosen(tx, study, trial))
        if found.checkpoint is None:
            why = "no worker here trained its model" if found.state == "completed" else f"it is {found.state}"
            raise NotFound(f"trial {found.number} of `{name}` has no checkpoint: {why}")
        about: dict[str, JsonValue] = {"study": name, "trial": found.number, "seed": study.spec.seeds()[0]}
        return weights(self._prefixes, found.checkpoint, about)

    def report(self, lease: str, request: ReportRequest) -> ReportAnswer:
        """As ``Reports.report``; what a study has among its best now is kept."""
        answer = super().report(lease, request)
        ended = {report.study for report in request.reports if report.result is not None}
        for name in sorted(ended):
            self._keep(name)
        return answer

    def delete(self, name: str) -> None:
        """As ``Studies.delete``; its checkpoints may make room from now on."""
        with self.store.transaction(write=False) as tx:
            study = tx.studies.find(name)
            keys = self._kept(tx, study) if study is not None else []
        super().delete(name)
        self._here_pinned.pop(name, None)
        if keys and study is not None:
            self._pin(study, ())

    def _keep(self, name: str) -> None:
        with self.store.transaction(write=False) as tx:
            study = tx.studies.find(name)
            keys = self._kept(tx, study) if study is not None else []
        if keys and study is not None and self._here_pinned.get(name) != (study.created_at, keys):
            self._pin(study, keys)
            self._here_pinned[name] = (study.created_at, keys)

    @cached_property
    def _here_pinned(self) -> dict[str, tuple[datetime, list[str]]]:
        """What this process has pinned last, by study, and which one of that name it was for."""
        return {}

    @staticmethod
    def _kept(tx: Transaction, study: Study) -> list[str]:
        """The keys of the best trial and of those that are to be confirmed or were."""
        top = max(1, study.spec.confirm.top if study.spec.confirm is not None else 1)
        leaders = tx.trials.leaders(study.name, minimize=study.spec.minimize, top=top)
        return [key for trial in leaders if trial.checkpoint is not None for key in trial.checkpoint.keys]

    def _pin(self, study: Study, keys: Collection[str]) -> None:
        """Keep these for the study, and nothing else; a store that is away is no reason to fail."""
        try:
            self._prefixes.pin(f"{study.name} {study.created_at.isoformat()}", keys)
        except (LrsearchError, OSError) as error:
            log.warning("the checkpoints of %s are not kept: %s", study.name, error)
