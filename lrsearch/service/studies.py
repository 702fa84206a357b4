"""The verbs on studies: create, look, change, pause, resume, cancel, delete."""

from __future__ import annotations

from typing import Any

from ..errors import Conflict, InvalidInput
from ..resolve import asks_for_range, resolve, updates_per_epoch, with_range
from ..space import Space
from ..store import Transaction
from ..study import ENDED, Page, Range, Study, StudyPatch, StudySpec, Trial
from ..trajectory import KEY_BYTES, first_key, known_keys, n_intervals
from .ground import Ground, differing
from .naming import numbered
from .standing import Standing

MAX_KEYED = 1_000_000
"""Schedules of more updates get no plan key: computing one would hold up everybody."""
RANGE_FIRST = "a range test comes first, for `initial_lr: auto`"


class Studies(Standing, Ground):
    """Studies from their creation to their end."""

    def create(self, spec: StudySpec, *, owner: str = "local", key: str | None = None) -> tuple[Study, bool]:
        """Store a study, to be started by the first worker that offers its task.

        Args:
            spec: the study as written.
            owner: whose it is.
            key: an ``Idempotency-Key``: the same key and spec again give the same answer and no second study.

        Returns:
            The study, and whether it is new: the same name and spec again answer the one that is there.

        Raises:
            InvalidInput: the spec breaks a law that only its task, space or families know.
            Conflict: a study of this name has another spec.
        """
        request = {"create": spec.model_dump(mode="json")}
        with self._writing() as tx:
            if answer := self._answered(tx, Study, key, owner, request):
                return answer, True
            if spec.name is not None and (found := tx.studies.find(spec.name)) is not None:
                self._require_same(tx, found, spec)
                return self._standing(tx, found), False
            named = (
                spec
                if spec.name is not None
                else spec.model_copy(update={"name": numbered(spec.task[:90], tx.studies.find)})
            )
            study = self._add_study(tx, named, owner)
            self._audit(tx, "create", f"studies/{study.name}")
            return self._answer(tx, self._standing(tx, study), key, owner, request), True

    def _require_same(self, tx: Transaction, found: Study, spec: StudySpec) -> None:
        stored = (found.submitted or found.spec).model_dump(mode="json")
        differ = differing(stored, spec.model_dump(mode="json"))
        if not differ:
            return
        if found.resolved:
            offer = None if spec.external else self._offer(tx, spec.task)
            found_range = found.spec.space.declarations.get("initial_lr")
            same = with_range(spec, found_range) if isinstance(found_range, Range) else spec
            differ = differing(found.spec.model_dump(mode="json"), resolve(same, offer).model_dump(mode="json"))
            # a budget that was raised later is no other study
            differ = [path for path in differ if not path.startswith(("budget.", "labels"))] if differ else []
        if differ:
            raise Conflict(
                f"there is a study `{spec.name}` with another spec (it differs in {', '.join(differ)}); "
                "choose another name, or delete the old study"
            )

    def _add_study(self, tx: Transaction, spec: StudySpec, owner: str, comparison: str | None = None) -> Study:
        assert spec.name is not None
        study = Study(
            name=spec.name,
            owner=owner,
            state="queued",
            spec=spec,
            submitted=spec,
            comparison=comparison,
            created_at=tx.now(),
        )
        offer = None if spec.external else self._offer(tx, spec.task)
        known = spec.external or offer is not None
        if known:
            resolved = resolve(with_range(spec), offer)
            updates = updates_per_epoch(resolved, offer)
            space = Space(resolved, updates)
        if known and asks_for_range(spec):
            study, baselines = study.model_copy(update={"warnings": (RANGE_FIRST,)}), []
        elif known:
            study = study.model_copy(update={"spec": resolved, "updates_per_epoch": updates, "resolved": True})
            baselines = baseline_trials(study, space)
        else:
            study = study.model_copy(update={"warnings": (self._unoffered(tx, spec.task),)})
            baselines = []
        tx.studies.add(study)
        tx.trials.add(study.name, baselines)
        return study

    def _resolve_late(self, tx: Transaction, study: Study) -> Study:
        """Complete a study whose task nobody had offered; it fails where its spec does not fit the task."""
        offer = self._offer(tx, study.spec.task)
        assert offer is not None
        try:
            resolved = resolve(study.spec, offer)
            updates = updates_per_epoch(resolved, offer)
            space = Space(resolved, updates)
            complete = study.model_copy(update={"spec": resolved, "updates_per_epoch": updates, "resolved": True})
            baselines = baseline_trials(complete, space)
        except InvalidInput as error:
            self._end(tx, study, "failed", f"the spec does not fit the task: {error}"[:2000])
            return tx.studies.get(study.name)
        tx.trials.add(study.name, baselines)
        return tx.studies.change(study.name, spec=resolved, updates_per_epoch=updates, resolved=True, warnings=())

    def studies(
        self, *, state: str | None = None, label: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Study]:
        """Studies, newest first; ``label`` is ``key`` or ``key=value``."""
        with self.store.transaction(write=False) as tx:
            page = tx.studies.page(state=state, label=label, limit=limit, cursor=cursor)
            return Page[Study](items=tuple(self._standing(tx, study) for study in page.items), next=page.next)

    def study(self, name: str) -> Study:
        """One study with its progress and best trial. Raises NotFound."""
        with self.store.transaction(write=False) as tx:
            return self._standing(tx, tx.studies.get(name))

    def patch(self, name: str, patch: StudyPatch) -> Study:
        """Change a study's budget or labels; a finished study with a larger budget goes on.

        Raises:
            Conflict: every cell of its grid is done, or it was cancelled or failed.
        """
        with self._writing() as tx:
            study = self._owned(tx.studies.get(name, lock=True))
            self._audit(tx, "change", f"studies/{name}")
            changes: dict[str, Any] = {}
            if patch.labels is not None:
                changes["labels"] = patch.labels
            if patch.budget is not None:
                changes["budget"] = study.spec.budget.model_copy(update=patch.budget.model_dump(exclude_unset=True))
            spec = study.spec.model_copy(update=changes)
            if study.resolved:
                spec = resolve(spec, None if spec.external else self._offer(tx, spec.task))
            study = self._drop_unbegun(tx, tx.studies.change(name, spec=spec))
            self._forget(name)
            if patch.budget is not None and study.state in ENDED:
                if study.state != "completed":
                    raise Conflict(f"study `{name}` is {study.state}: only a completed study goes on")
                if self._more_to_suggest(tx, study):
                    study = tx.studies.change(name, state="running", finished_at=None)
                elif self._grid_is_done(tx, study):
                    raise Conflict(f"every cell of the grid of `{name}` is done: a larger budget has nothing to train")
            self._advance(tx, study)  # a smaller budget may be spent already
            return self._standing(tx, tx.studies.get(name))

    def pause(self, name: str) -> Study:
        """Hand out nothing new and stop running trials at their next epoch; ``resume`` continues them."""
        return self._move(name, ("queued", "running"), ("paused",), "pause")

    def resume(self, name: str) -> Study:
        """Go on with a paused study; one that goes on already is left as it is."""
        return self._move(name, ("paused",), ("queued", "running"), "resume")

    def _move(self, name: str, allowed: tuple[str, ...], reached: tuple[str, ...], verb: str) -> Study:
        with self._writing() as tx:
            study = self._owned(tx.studies.get(name, lock=True))
            if study.state in reached:
                return self._standing(tx, study)
            if study.state not in allowed:
                raise Conflict(f"study `{name}` is {study.state}: only {' or '.join(allowed)} studies can {verb}")
            self._audit(tx, verb, f"studies/{name}")
            state = reached[0] if study.started_at is None else reached[-1]
            self._advance(tx, tx.studies.change(name, state=state))  # its last trial may have ended while it was paused
            return self._standing(tx, tx.studies.get(name))

    def cancel(self, name: str) -> Study:
        """Stop a study now; its results stay. A cancelled study stays as it is; a finished one is a Conflict."""
        with self._writing() as tx:
            study = self._owned(tx.studies.get(name, lock=True))
            if study.state == "cancelled":
                return self._standing(tx, study)
            if study.state in ENDED:
                raise Conflict(f"study `{name}` is {study.state}: there is nothing to cancel")
            self._end(tx, study, "cancelled", None)
            self._audit(tx, "cancel", f"studies/{name}")
            return self._standing(tx, tx.studies.get(name))

    def delete(self, name: str) -> None:
        """Erase a study with its trials and curves.

        Raises:
            Conflict: it is running; cancel or pause it first.
        """
        with self._writing() as tx:
            study = self._owned(tx.studies.get(name, lock=True))
            if study.state == "running":
                raise Conflict(f"study `{name}` is running: cancel it first")
            self._end_leases_on(tx, name)
            tx.studies.delete(name)
            self._audit(tx, "delete", f"studies/{name}")
            if study.comparison is not None:
                self._advance_comparison(tx, study.comparison)
        self._forget(name)

    @staticmethod
    def _end_leases_on(tx: Transaction, name: str) -> None:
        """End the leases that hold trials of a study, or its range test: their workers may train them still.

        A new study of this name has trials of the same numbers, and attempts at them: nothing else would keep what was
        measured for the old one out of it.
        """
        test = tx.range_tests.of_study(name)
        sweeping = tx.range_tests.lease_of(test.name) if test is not None else None
        for lease in tx.trials.leases(name) | ({sweeping} if sweeping is not None else set()):
            tx.trials.let_go(lease)
            tx.leases.delete(lease)


def baseline_trials(study: Study, space: Space) -> list[Trial]:
    """The study's baselines as its first trials; the sampler learns from those that lie in its space."""
    schedules = [space.baseline(fields) for fields in study.spec.baselines]
    return [
        new_trial(
            study, number, space.params_of(schedule) or {}, schedule, origin="baseline", created_at=study.created_at
        )
        for number, schedule in enumerate(schedules)
    ]


def new_trial(study: Study, number: int, params: Any, schedule: Any, **fields: Any) -> Trial:
    """A trial that is to be trained."""
    spec = study.spec
    known = spec.updates is not None or study.updates_per_epoch is not None
    short = known and schedule.clock(study.updates_per_epoch).horizon <= MAX_KEYED
    if short:
        keys = known_keys(first_key(spec.recipe(), spec.seeds()[0]), schedule, study.updates_per_epoch)
        whole = len(keys) == n_intervals(schedule, study.updates_per_epoch) * KEY_BYTES
        fields |= {"root": keys[:KEY_BYTES].hex(), "plan_key": keys[-KEY_BYTES:].hex() if whole else None}
    return Trial(number=number, params=params, schedule=schedule, **({"purpose": "trial"} | fields))
