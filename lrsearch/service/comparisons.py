"""Comparisons: arms x repeats studies of one task and space, judged together."""

from __future__ import annotations

from ..errors import Conflict
from ..search import Finish, judge
from ..store import Transaction
from ..study import (
    ENDED,
    Arm,
    Comparison,
    ComparisonResult,
    ComparisonSpec,
    Page,
    SamplerSpec,
    Study,
    StudySpec,
    TrainSpec,
)
from .checkpoints import Checkpoints
from .ground import differing
from .naming import numbered


class Comparisons(Checkpoints):
    """Samplers against each other."""

    def compare(self, spec: ComparisonSpec, *, owner: str = "local", key: str | None = None) -> tuple[Comparison, bool]:
        """Store a comparison and its studies, one for each arm and repeat.

        Repeat r trains on the seeds of the spec's shifted by r x seeds, the same for every arm; every arm and repeat
        draws from a sampler seed of its own. Trials that train the same curve are trained once and shared.

        Returns:
            The comparison, and whether it is new.
        """
        request = {"compare": spec.model_dump(mode="json")}
        with self._writing() as tx:
            if answer := self._answered(tx, Comparison, key, owner, request):
                return answer, True
            name = spec.name or numbered(f"compare-{spec.spec.task[:30]}", tx.comparisons.find)
            if spec.name is not None and (found := tx.comparisons.find(spec.name)) is not None:
                differ = differing(found.spec.model_dump(mode="json"), spec.model_dump(mode="json"))
                if differ:
                    raise Conflict(f"there is a comparison `{name}` with another spec ({', '.join(differ)} differ)")
                return self._compared(tx, found), False
            spec = spec.model_copy(update={"name": name})
            comparison = Comparison(
                name=name, owner=owner, state="queued", spec=spec, studies=(), progress={}, created_at=tx.now()
            )
            tx.comparisons.add(comparison)
            self._audit(tx, "create", f"comparisons/{name}")
            for repeat in range(spec.repeats):
                for position, arm in enumerate(spec.arms):
                    self._add_study(tx, contender(spec, position, arm, repeat), owner, comparison=name)
            return self._answer(tx, self._compared(tx, comparison), key, owner, request), True

    def comparison(self, name: str) -> Comparison:
        """One comparison, with what its finished repeats say. Raises NotFound."""
        with self.store.transaction(write=False) as tx:
            return self._compared(tx, tx.comparisons.get(name))

    def comparisons(self, *, limit: int = 50, cursor: str | None = None) -> Page[Comparison]:
        """Comparisons, newest first."""
        with self.store.transaction(write=False) as tx:
            page = tx.comparisons.page(limit=limit, cursor=cursor)
            return Page[Comparison](items=tuple(self._compared(tx, item) for item in page.items), next=page.next)

    def _compared(self, tx: Transaction, comparison: Comparison) -> Comparison:
        studies = tx.studies.of_comparison(comparison.name)
        progress: dict[str, int] = {}
        for study in studies:
            progress[study.state] = progress.get(study.state, 0) + 1
        state = comparison.state
        if state == "queued" and any(study.started_at is not None for study in studies):
            state = "running"
        return comparison.model_copy(
            update={
                "studies": tuple(study.name for study in studies),
                "progress": progress,
                "state": state,
                "result": self._judged(tx, comparison.spec, studies),
            }
        )

    @staticmethod
    def _judged(tx: Transaction, spec: ComparisonSpec, studies: list[Study]) -> ComparisonResult | None:
        """What the repeats say in which every arm has ended; None while there is no such repeat."""
        by_name = {study.name: study for study in studies}
        arms: dict[str, list[list[Finish]]] = {arm.name: [] for arm in spec.arms}
        minimize = True
        for repeat in range(spec.repeats):
            row = [by_name.get(study_name(spec, arm, repeat)) for arm in spec.arms]
            if any(study is None or study.state not in ENDED or study.state == "cancelled" for study in row):
                continue
            for arm, study in zip(spec.arms, row, strict=True):
                assert study is not None
                minimize = study.spec.minimize
                arms[arm.name].append([Finish(value, epochs) for value, epochs in tx.trials.finishes(study.name)])
        return judge(arms, minimize) if any(arms.values()) else None


def study_name(spec: ComparisonSpec, arm: Arm, repeat: int) -> str:
    """The name of one arm's study in one repeat."""
    return f"{spec.name}.{arm.name}.{repeat}"


def contender(spec: ComparisonSpec, position: int, arm: Arm, repeat: int) -> StudySpec:
    """One arm's study in one repeat."""
    train = spec.spec.train or TrainSpec()
    sampler: SamplerSpec = arm.sampler.model_copy(update={"seed": arm.sampler.seed + position * spec.repeats + repeat})
    return spec.spec.model_copy(
        update={
            "name": study_name(spec, arm, repeat),
            "sampler": sampler,
            "train": train.model_copy(update={"seed": train.seed + repeat * train.seeds}),
            "confirm": None,
        }
    )
