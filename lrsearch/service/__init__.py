"""The product's verbs: what the API, the command line and runs in one process call."""

from __future__ import annotations

from ..errors import Unavailable
from ..exports import Export, export
from ..schedules import Rescaling
from ..study import Best, Cost
from ..trajectory import updates_per_epoch_of
from .access import Access
from .caller import LOCAL, Caller, caller, calling
from .catalog import Catalog, catalog
from .following import LEAST_SECONDS, LOOK_SECONDS, Follower
from .ground import Settings
from .tokens import Tokens
from .totals import Totalling


class Service(Totalling, Tokens):
    """Every verb on one store. Thread-safe; the store is the only truth, so several may serve one database."""

    def best(self, name: str, top: int = 1) -> list[Best]:
        """The best completed trials: the confirmed first, by confirmed mean, then the others by value."""
        with self.store.transaction(write=False) as tx:
            return self._leaders(tx, tx.studies.get(name), top)

    def export(
        self,
        name: str,
        trial: int | None,
        target: str,
        *,
        updates_per_epoch: int | None = None,
        rescale: Rescaling | None = None,
    ) -> Export:
        """A trial's schedule (None: the best one's) as text or data for a framework; rescaled, if wanted.

        A metric-driven one as the curve that it took with the study's first seed, as far as its trial went.

        Raises:
            NotFound: no such study or trial, or none has completed yet.
            InvalidInput: updates per epoch are needed and unknown, a metric-driven schedule's trial has
                measured nothing yet, or the schedule cannot be rescaled so.
        """
        with self.store.transaction(write=False) as tx:
            study = tx.studies.get(name)
            trial = self._chosen(tx, study, trial)
            schedule = tx.trials.get(name, trial).schedule
            first, *_ = study.spec.seeds()
            points = tx.points.of(name, trial) if schedule.METRIC_DRIVEN else []
            history = [point.metrics for point in points if point.seed in (None, first)]
            offer = None if study.spec.external else self._offer(tx, study.spec.task)
        recipe = {} if study.spec.external else study.spec.recipe()
        to, known = Rescaling(**(rescale or {})), study.updates_per_epoch
        if (batch_size := to.get("batch_size")) is not None:
            if to.get("from_batch_size") is None and isinstance(recipe.get("batch_size"), int):
                to["from_batch_size"] = recipe["batch_size"]
            spec = study.spec
            examples = offer.examples(spec.options) if offer is not None and spec.epochs is not None else None
            known = updates_per_epoch_of(examples, batch_size) if examples is not None and batch_size > 0 else None
        return export(
            schedule,
            target,
            updates_per_epoch=updates_per_epoch or known,
            study=name,
            trial=trial,
            recipe=recipe,
            history=history,
            rescale=to,
        )

    def catalog(self) -> Catalog:
        """Everything a spec may name, with parameters, ranges, defaults and a line of help."""
        with self.store.transaction(write=False) as tx:
            return catalog(tx.offers.all())

    def ready(self) -> None:
        """Raises Unavailable while the database is away or not migrated."""
        if (lag := self.store.versions().lag()) is not None:
            raise Unavailable(lag)


__all__ = [
    "LEAST_SECONDS",
    "LOCAL",
    "LOOK_SECONDS",
    "Access",
    "Caller",
    "Catalog",
    "Cost",
    "Export",
    "Follower",
    "Service",
    "Settings",
    "caller",
    "calling",
]
