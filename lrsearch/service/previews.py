"""What a study would be: its cost, its curves, and what in it is hardly meant. Nothing is stored."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from ..resolve import asks_for_range, resolve, updates_per_epoch, with_range
from ..schedules import FAMILIES, Schedule
from ..search import Suggester, expected_share
from ..space import Space
from ..study import Cost, Preview, SampleCurve, StudySpec, TaskOffer
from ..trajectory import count_epochs
from .comparisons import Comparisons
from .look import Look
from .studies import MAX_KEYED

MAX_COUNTED = 20_000
"""Of more epochs the distinct ones are not counted."""
MAX_LOOKED = 128
"""How many schedules a preview looks at."""
MAX_MEASURED = 10_000
"""How many reporting intervals of metric-driven schedules it goes through."""
SHOWN = 16
"""How many curves it shows."""
ANY_RATE = (
    "a range test finds the range of `initial_lr` first; until then its whole sweep stands for it, and what is told of "
    "single schedules may not come about"
)
DRAWN_PER_EPOCH = 100
"""Updates an epoch where they are not known: any number shows the shape."""
REMEMBERED = 100
"""How many studies, from the newest, are asked for what an update takes."""


class Draft:
    """A spec completed by its task, with the schedules of its first trials.

    ``initial_lr: auto`` is the whole sweep of the range test that will narrow it.

    Raises:
        InvalidInput: the spec breaks a law.
    """

    def __init__(self, spec: StudySpec, offer: TaskOffer | None) -> None:
        self.unranged = asks_for_range(spec)
        self.spec = resolve(with_range(spec), offer)
        self.updates_per_epoch = updates_per_epoch(self.spec, offer)
        self.space = Space(self.spec, self.updates_per_epoch)

    def first(self, n: int) -> list[tuple[dict[str, Any], Schedule]]:
        """Params and schedules of the first ``n`` trials, or all there are; the params of a baseline are empty.

        Of a sampler that learns, those that it would suggest without learning.
        """
        baselines = self.spec.baselines[:n]
        found: list[tuple[dict[str, Any], Schedule]] = [({}, self.space.baseline(fields)) for fields in baselines]
        suggested: Iterable[dict[str, Any]] = Suggester(self.spec).unlearned(len(baselines))
        found += [(params, self.space.schedule(params)) for params in islice(suggested, n - len(found))]
        return found

    @property
    def trials(self) -> int | None:
        """How many trials there will be; None where only epochs or hours limit it."""
        trials, cells = self.spec.budget.trials, self.space.n_cells
        if self.spec.sampler.name != "grid" or cells is None:
            return trials
        return min(trials or cells, cells + len(self.spec.baselines))

    def updates(self, epochs: int) -> int | None:
        """So many epochs (reporting intervals) in updates, where it is known."""
        per_epoch = self.spec.eval_every or self.updates_per_epoch
        return None if per_epoch is None else epochs * per_epoch

    def cost(self) -> Cost:
        """What it will ask for."""
        n, spec = self.trials, self.spec
        if n is None:
            return Cost(trials=None, epochs_asked=None, epochs_distinct=None)
        asked = n * spec.intervals
        distinct = None
        updates = self.updates(asked)
        knowable = spec.sampler.name != "tpe" and not spec.external and not self.unranged
        if knowable and updates is not None and updates <= MAX_KEYED and asked <= MAX_COUNTED:
            _, distinct = count_epochs([schedule for _, schedule in self.first(n)], self.updates_per_epoch)
        return Cost(
            trials=n,
            epochs_asked=asked * spec.n_seeds,
            epochs_distinct=None if distinct is None else distinct * spec.n_seeds,
            epochs_expected=None
            if spec.rungs is None
            else round(asked * spec.n_seeds * expected_share(spec.rungs, spec.intervals)),
        )


class Previews(Comparisons):
    """Studies that are not there yet."""

    def cost(self, spec: StudySpec) -> Cost:
        """What ``spec`` will ask for; stores nothing."""
        offer = self._known_offer(spec)
        if offer is None and not spec.external:
            return Cost(trials=spec.budget.trials, epochs_asked=None, epochs_distinct=None)
        return Draft(spec, offer).cost()

    def preview(self, spec: StudySpec, *, offer: TaskOffer | None = None) -> Preview:
        """What ``spec`` would be as a study: sample curves, envelope, cost and warnings; stores nothing.

        At most 128 schedules are looked at, the first trials: a grid of any size is answered at once.

        Args:
            spec: the study as written.
            offer: its task, where no worker has offered it here.

        Raises:
            InvalidInput: as ``create``.
        """
        offer = offer or self._known_offer(spec)
        if offer is None and not spec.external:
            with self.store.transaction(write=False) as tx:
                unknown = (self._unoffered(tx, spec.task), "its schedules are not known before that")
            cost = Cost(trials=spec.budget.trials, epochs_asked=None, epochs_distinct=None)
            return Preview(spec=spec, warnings=unknown, **dict(cost))
        draft = Draft(spec, offer)
        cost, first = draft.cost(), draft.first(n_looked(draft))
        drawn_per_epoch = (draft.updates_per_epoch or DRAWN_PER_EPOCH) if spec.epochs is not None else None
        precision = "float64" if draft.spec.train and draft.spec.train.precision == "float64" else "float32"
        look = Look([schedule for _, schedule in first], drawn_per_epoch, precision, shown=SHOWN)
        low, high = look.envelope()
        return Preview(
            spec=draft.spec,
            cells=draft.space.n_cells,
            updates_per_epoch=draft.updates_per_epoch,
            drawn_per_epoch=drawn_per_epoch,
            seconds=self._seconds(draft, cost),
            looked_at=len(first),
            updates=look.updates,
            low=tuple(low.tolist()),
            high=tuple(high.tolist()),
            curves=tuple(
                SampleCurve(
                    trial=number,
                    params=params,
                    schedule=schedule,
                    lr=tuple(seen.improving.tolist()),
                    groups={name: tuple(rates.tolist()) for name, rates in seen.groups.items()},
                )
                for number, ((params, schedule), seen) in enumerate(zip(first[:SHOWN], look.seen, strict=False))
            ),
            warnings=(*((ANY_RATE,) if draft.unranged else ()), *look.warnings(draft.trials)),
            **dict(cost),
        )

    def _known_offer(self, spec: StudySpec) -> TaskOffer | None:
        if spec.external:
            return None
        with self.store.transaction(write=False) as tx:
            return self._offer(tx, spec.task)

    def _seconds(self, draft: Draft, cost: Cost) -> float | None:
        """Seconds of the plain loop for the epochs that are trained, as the recipe's newest study measured it."""
        counted = (cost.epochs_asked, cost.epochs_distinct, cost.epochs_expected)
        epochs = min((count for count in counted if count is not None), default=None)
        updates = None if epochs is None or draft.spec.external else draft.updates(epochs)
        if updates is None:
            return None
        recipe = draft.spec.recipe()
        with self.store.transaction(write=False) as tx:
            for study in tx.studies.page(limit=REMEMBERED).items:
                if study.update_seconds is not None and study.spec.recipe() == recipe:
                    return updates * study.update_seconds
        return None


def n_looked(draft: Draft) -> int:
    """How many of a draft's schedules are looked at."""
    n = MAX_LOOKED if draft.trials is None else min(MAX_LOOKED, draft.trials)
    families = {*draft.space.families, *(fields.get("family") for fields in draft.spec.baselines)}
    measures = any(FAMILIES[family].METRIC_DRIVEN for family in families if isinstance(family, str))
    return max(1, min(n, MAX_MEASURED // draft.spec.intervals)) if measures else n
