"""The verbs on trials: look, add, import, retry, cancel, curve."""

from __future__ import annotations

from typing import Any

from ..diagnosis import diagnose
from ..errors import Conflict, InvalidInput, NotFound
from ..space import Space
from ..store import Transaction
from ..study import ENDED, Diagnosis, Page, Point, Study, Trial, TrialRequest
from .reports import Reports
from .studies import new_trial


class Trials(Reports):
    """Single trials of a study."""

    def trials(
        self, name: str, *, state: str | None = None, order: str = "number", limit: int = 50, cursor: str | None = None
    ) -> Page[Trial]:
        """Trials by number, or by value with the best first."""
        with self.store.transaction(write=False) as tx:
            minimize = tx.studies.get(name).spec.minimize
            return tx.trials.page(name, state=state, order=order, minimize=minimize, limit=limit, cursor=cursor)

    def trial(self, name: str, number: int) -> Trial:
        """One trial. Raises NotFound."""
        with self.store.transaction(write=False) as tx:
            tx.studies.get(name)
            return tx.trials.get(name, number)

    def curve(self, name: str, number: int) -> list[Point]:
        """A trial's points by seed and epoch."""
        with self.store.transaction(write=False) as tx:
            tx.studies.get(name)
            tx.trials.get(name, number)
            return tx.points.of(name, number)

    def diagnosis(self, name: str, trial: int | None = None) -> Diagnosis:
        """What a trial's points (None: the best one's) say of its training.

        Of several seeds the one that diverged is looked at, else the first.

        Raises:
            NotFound: no such study or trial, none has completed yet, or nothing was reported of it so far.
        """
        with self.store.transaction(write=False) as tx:
            study = tx.studies.get(name)
            found = tx.trials.get(name, self._chosen(tx, study, trial))
            points = tx.points.of(name, found.number)
        if not points:
            raise NotFound(f"nothing was reported of trial {found.number} of `{name}` yet")
        of_seed = {point.seed: [its for its in points if its.seed == point.seed] for point in points}
        lost = [seed for seed, its in of_seed.items() if None in its[-1].metrics.values()]
        chosen = of_seed[lost[0] if lost else points[0].seed]
        known = study.spec.updates is not None or study.updates_per_epoch is not None
        counted = any(point.update is not None or point.diagnostics is not None for point in chosen)
        horizon = found.schedule.clock(study.updates_per_epoch).horizon if known and counted else study.spec.intervals
        return diagnose(chosen, diverged_at=found.diverged_at, horizon=horizon)

    def add_trial(self, name: str, request: TrialRequest, *, key: str | None = None) -> Trial:
        """Enqueue a schedule, import its value, or retry a trial under a new number.

        Raises:
            InvalidInput: not exactly one of ``params``, ``schedule``, ``retry``; or they break the space's laws.
            Conflict: the study was cancelled or failed, or its budget leaves no room for a trial to train.
        """
        stated = {"trial": name, **request.model_dump(mode="json")}
        with self._writing() as tx:
            study = self._owned(tx.studies.get(name, lock=True))
            if answer := self._answered(tx, Trial, key, study.owner, stated):
                return answer
            if not study.resolved:
                raise Conflict(f"no worker has offered the task of `{name}` yet: trials can be added after that")
            study = self._drop_unbegun(tx, study)
            number = tx.trials.next_number(name)
            trial = self._requested(tx, study, number, request)
            if trial.origin != "imported":
                self._require_room(tx, study)
            tx.trials.add(name, [trial])
            self._audit(tx, "create", f"studies/{name}/trials/{number}")
            return self._answer(tx, trial, key, study.owner, stated)

    def _require_room(self, tx: Transaction, study: Study) -> None:
        if study.state in ("cancelled", "failed"):
            raise Conflict(f"study `{study.name}` is {study.state}: it trains nothing more")
        if not self._room(tx, study):
            raise Conflict(f"the budget of `{study.name}` is used up: raise it first, by PATCH with `budget`")
        if study.state in ENDED:
            tx.studies.change(study.name, state="running", finished_at=None)

    def _requested(self, tx: Transaction, study: Study, number: int, request: TrialRequest) -> Trial:
        given = [what for what in ("params", "schedule", "retry") if getattr(request, what) is not None]
        if len(given) != 1:
            raise InvalidInput(f"a trial is made from one of `params`, `schedule`, `retry` (got {given or 'none'})")
        fields: dict[str, Any] = {"created_at": tx.now(), "origin": "enqueued"}
        if request.retry is not None:
            if request.value is not None:
                raise InvalidInput("`value` goes with `params` or `schedule`, to import a result", field="value")
            old = tx.trials.get(study.name, request.retry)
            if not old.terminal:
                raise Conflict(f"trial {old.number} is {old.state}: only an ended trial is retried")
            return new_trial(study, number, old.params, old.schedule, retry_of=old.number, **fields)
        if request.value is not None:
            ended = {"origin": "imported", "state": "completed", "purpose": None, "finished_at": tx.now()}
            fields |= ended | {"value": request.value, "values": (request.value,)}
        space = Space(study.spec, study.updates_per_epoch)
        if request.params is not None:
            return new_trial(study, number, request.params, space.schedule(request.params), **fields)
        assert request.schedule is not None
        schedule = space.baseline(request.schedule)
        return new_trial(study, number, space.params_of(schedule) or {}, schedule, **fields)

    def cancel_trial(self, name: str, number: int) -> Trial:
        """Stop one trial; cancelling it twice is the same as once. Raises Conflict if it has ended otherwise."""
        with self._writing() as tx:
            study = self._owned(tx.studies.get(name, lock=True))
            trial = tx.trials.get(name, number)
            if trial.terminal and trial.state != "cancelled":
                raise Conflict(f"trial {number} of `{name}` is {trial.state}: there is nothing to cancel")
            if trial.state != "cancelled":
                tx.trials.change(name, number, state="cancelled", purpose=None, finished_at=tx.now())
                self._audit(tx, "cancel", f"studies/{name}/trials/{number}")
                self._advance(tx, study)
            return tx.trials.get(name, number)
