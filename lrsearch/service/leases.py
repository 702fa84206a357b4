"""Leases: workers ask for trials and hold them for a limited time."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta

from ..errors import InvalidInput, NotAllowed, NotFound
from ..resolve import asks_for_range
from ..store import Free, LeaseRow, Transaction
from ..study import Assignment, Lease, LeaseRequest, Study, StudyState, Trial, Worker
from ..tasks.catalog import CATALOG
from .caller import caller
from .dealing import recipe_text
from .isolation import blaming, isolating
from .losses import SUSPECT_LOST, Losses, suspected
from .range_tests import recipe_mark
from .standing import seeds_for

GIVEN = ("lease", "attempts", "worker", "state", "started_at", "handed_at")
"""The fields of a trial that change when it is handed out."""
MOST_FREE = 10_000
"""At most so many trials are looked at to choose from."""


class Leases(Losses):
    """Handing out work."""

    @isolating
    def lease(self, request: LeaseRequest, *, owner: str = "local") -> Lease:
        """Give a worker trials to train.

        A worker has one lease: a new one ends the earlier one and takes its unfinished trials over as new attempts.
        All assignments of a lease share one recipe.

        Raises:
            NotFound: the request names a study that does not exist.
            NotAllowed: the caller has not the scope `worker`, and it is no external study of its own.
        """
        self._here.suggestion = 0.0
        with self._writing(rings=False) as tx:
            moment = tx.now()
            self._reap(tx)
            self._require_right(tx, request)
            self._meet(tx, request)
            earlier = [old for old in tx.leases.of_worker(request.worker) if old.owner == owner]
            before = [held for old in earlier for held in self._take_over(tx, old)]
            row = LeaseRow(
                lease=secrets.token_hex(16),
                worker=request.worker,
                owner=owner,
                hold=request.hold,
                only_study=request.study,
                tasks=None if request.tasks is None else tuple(offer.name for offer in request.tasks),
                recipe="",
                expires_at=moment + timedelta(seconds=self.settings.lease_seconds),
            )
            if request.study is not None:
                tx.studies.get(request.study)
            tx.leases.add(row)
            self.counts["leases_given"] += 1
            assignments, recipe = self._hand_out(tx, row, request.hold, first=before)
            if recipe:
                tx.leases.change(row.lease, recipe=recipe)
            return Lease(
                lease=row.lease,
                expires_at=row.expires_at,
                heartbeat_seconds=self.settings.heartbeat_seconds,
                assignments=tuple(assignments),
                study_state=self._state_of(tx, row),
            )

    def release(self, lease: str) -> None:
        """End a lease: what it held is handed to others. Ending it twice is the same as once.

        Raises:
            NotFound: there never was such a lease, or it is somebody else's.
        """
        with self._writing() as tx:
            if tx.leases.was(lease):
                return
            row = tx.leases.get(lease)
            self._require_holder(row)
            self._let_go_range_test(tx, row, lost=False)
            self._end_lease(tx, row)

    def workers(self) -> list[Worker]:
        """Every worker heard of in the last days, the newest first; gone = silent for longer than a lease."""
        with self.store.transaction(write=False) as tx:
            oldest = tx.now() - timedelta(seconds=self.settings.lease_seconds)
            return [
                worker.model_copy(
                    update={"state": "gone" if worker.last_seen < oldest else "busy" if worker.holds else "idle"}
                )
                for worker in tx.workers.all()
            ]

    @staticmethod
    def _require_holder(row: LeaseRow) -> None:
        """A lease is unknown to whoever did not ask for it. Raises NotFound."""
        if not caller().owns(row.owner):
            raise NotFound("there is no such lease")

    @staticmethod
    def _require_right(tx: Transaction, request: LeaseRequest) -> None:
        """Without the scope ``worker`` one leases external studies of one's own, and announces no tasks."""
        caller().require("worker", "write")
        if caller().may("worker"):
            return
        study = tx.studies.get(request.study) if request.study is not None and not request.tasks else None
        if study is None or not may_train(study):
            whose = f"study `{study.name}` belongs to `{study.owner}`: " if study is not None else ""
            raise NotAllowed(
                f"{whose}with the scope `write`, `{caller().name}` leases external studies of its own alone, each by "
                "name; everything else needs the scope `worker`"
            )

    def _meet(self, tx: Transaction, request: LeaseRequest) -> None:
        offers = request.tasks if request.tasks is not None else tuple(CATALOG.values())
        for offer in request.tasks or ():
            if (tx.offers.find(offer.name) or CATALOG.get(offer.name)) != offer:
                tx.offers.put(offer)
        tx.workers.put(
            Worker(
                worker=request.worker,
                state="idle",
                device=request.device,
                versions=request.versions,
                tasks=tuple(offer.name for offer in offers),
                last_seen=tx.now(),
            )
        )

    def _state_of(self, tx: Transaction, row: LeaseRow) -> StudyState | None:
        study = tx.studies.find(row.only_study) if row.only_study is not None else None
        return None if study is None else study.state

    def _hand_out(
        self,
        tx: Transaction,
        row: LeaseRow,
        wanted: int,
        *,
        first: Sequence[tuple[str, int]] = (),
        after: Collection[str] = (),
        recipe: str = "",
    ) -> tuple[list[Assignment], str]:
        """Give a lease up to ``wanted`` more trials.

        Args:
            tx: the transaction.
            row: the lease.
            wanted: how many trials it has room for.
            first: trials that it should take over from an earlier lease.
            after: the studies that it has just reported on: other owners' come before them.
            recipe: the recipe of what it holds; empty = it holds nothing.

        Returns:
            The assignments, and the recipe that they and all the others share.
        """
        sweep = self._hand_out_range_test(tx, row) if wanted > 0 and not recipe and caller().may("worker") else None
        if sweep is not None:
            return [sweep], recipe_mark(sweep)
        assignments: list[Assignment] = []
        names = self._in_turn(tx, row, after, holds_some=bool(recipe)) if wanted > 0 else []
        taken_over = [name for name, _ in first if name in names]
        for name in dict.fromkeys([*taken_over, *names]):
            if len(assignments) == wanted:
                break
            with blaming(name, InvalidInput):
                study = self._ready(tx, row, name)
                if study is None:
                    continue
                its_recipe = recipe_text(study)
                if recipe and its_recipe != recipe:
                    continue
                own = [number for study_name, number in first if study_name == name]
                given = self._hand_out_of(tx, row, study, wanted - len(assignments), own)
            if given:
                recipe = its_recipe
                assignments += given
        return assignments, recipe

    def _in_turn(self, tx: Transaction, row: LeaseRow, after: Collection[str], *, holds_some: bool) -> list[str]:
        """The open studies that a lease may work on: of the owner with the least under way first, there the oldest.

        While an owner whose trials this worker could train has none under way at all, a lease that holds some gets no
        more of others: once it is through with what it holds, the worker is free.
        """
        studies = tx.studies.open_owned(only=row.only_study)
        if len({owner for _, owner in studies}) < 2:
            return [name for name, _ in studies]
        at_work = tx.trials.at_work()
        idle = [name for name, owner in studies if not at_work.get(owner)]
        if holds_some and any(self._has_work(tx, row, name) for name in idle):
            return idle
        served = {owner for name, owner in studies if name in after}
        ranked = sorted(studies, key=lambda study: (at_work.get(study[1], 0), study[1] in served))
        return [name for name, _ in ranked]

    def _has_work(self, tx: Transaction, row: LeaseRow, name: str) -> bool:
        """Whether a free worker with this lease would probably find something to do in a study."""
        with blaming(name, InvalidInput):
            study = self._ready(tx, row, name)
            return study is not None and bool(
                tx.trials.to_hand_out(name, limit=1) or (not study.spec.external and self._more_to_suggest(tx, study))
            )

    def _ready(self, tx: Transaction, row: LeaseRow, name: str) -> Study | None:
        """The study, locked, if this lease may work on it; one whose task was just offered is completed first."""
        study = tx.studies.get(name, lock=True)
        if not may_train(study):
            return None
        if study.spec.external:
            if row.only_study != name:
                return None
        elif study.spec.task not in (CATALOG if row.tasks is None else row.tasks):
            return None
        if asks_for_range(study.spec):
            return None
        if not study.resolved and self._offer(tx, study.spec.task) is not None:
            study = self._resolve_late(tx, study)
        return study if study.state in ("queued", "running") and study.resolved else None

    def _hand_out_of(
        self, tx: Transaction, row: LeaseRow, study: Study, wanted: int, first: Sequence[int]
    ) -> list[Assignment]:
        """Up to ``wanted`` trials of one study, those numbered in ``first`` before all others."""
        busy = tx.trials.running_keys(study.comparison) if study.comparison is not None else set()
        if study.state == "queued":
            study = tx.studies.change(study.name, state="running", started_at=study.started_at or tx.now())
        self._decide(tx, study)
        free = self._free(tx, study, busy)
        drawn = {}
        if (missing := wanted + self._n_ahead(study) - len(free)) > 0:
            drawn = {trial.number: trial for trial in self._draw(tx, study, missing, busy)}
            free = self._free(tx, study, busy)
        numbers = self._choose_apart(tx, row, study, free, wanted, first=first)
        found = drawn | tx.trials.some(study.name, set(numbers) - drawn.keys())
        given = [self._given(tx, row, found[number]) for number in numbers]
        handed = [{name: getattr(trial, name) for name in GIVEN} for trial in given]
        tx.trials.change_all(study.name, zip(given, handed, strict=True))
        assignments = [self._assignment(tx, study, trial) for trial in given]
        if not assignments:
            self._advance(tx, study)
        return assignments

    def _choose_apart(
        self, tx: Transaction, row: LeaseRow, study: Study, free: Sequence[Free], wanted: int, *, first: Sequence[int]
    ) -> list[int]:
        """The numbers that a lease is given; a suspect comes after all others, and has its worker to itself."""
        again = [trial.number for trial in free if trial.attempts >= SUSPECT_LOST]
        suspects = suspected(tx.trials.some(study.name, again).values())
        # what waits at a rung is not trained: it neither harms its worker nor pays for what does
        held = [it for it in tx.trials.held_at_work(row.lease, {}) if it.state != "waiting"] if free else []
        retried = [trial for trial in held if trial.attempts > SUSPECT_LOST]
        if any(suspected(tx.trials.some(it.study, [it.number]).values()) for it in retried):
            return []
        others = [trial for trial in free if trial.number not in suspects]
        numbers = self._choose(tx, row, study, others, wanted, first=first)
        return numbers if numbers or held or not wanted else suspects[:1]

    def _free(self, tx: Transaction, study: Study, busy: set[str]) -> list[Free]:
        """What may be handed out now, by number."""
        free = tx.trials.to_hand_out(study.name, limit=MOST_FREE)
        return [trial for trial in free if not self._must_wait(tx, study, trial, busy)]

    def _must_wait(self, tx: Transaction, study: Study, trial: Free, busy: set[str]) -> bool:
        """Whether another worker trains the very same curve for this comparison, or a pruner must see more first."""
        if trial.plan_key is not None and trial.plan_key in busy:
            return True
        if not study.spec.stops_for_good or trial.purpose != "trial":
            return False
        return not self._sampler(study).suggester.can_suggest(trial.number, self._history(tx, study))

    @staticmethod
    def _given(tx: Transaction, row: LeaseRow, trial: Trial) -> Trial:
        """``trial`` as the next attempt at it, held by a lease."""
        changes: dict[str, object] = {"lease": row.lease, "attempts": trial.attempts + 1, "worker": row.worker}
        changes["handed_at"] = tx.now()
        if trial.purpose == "trial":
            changes |= {"state": "running", "started_at": trial.started_at or tx.now()}
        return trial.model_copy(update=changes)

    def _assignment(self, tx: Transaction, study: Study, trial: Trial) -> Assignment:
        assert trial.purpose is not None
        seeds = seeds_for(study, trial)
        fresh = trial.attempts == 1 and trial.purpose == "trial"
        done = 0 if fresh else tx.points.epochs_done(study.name, trial.number, purpose=trial.purpose, seeds=seeds)
        return Assignment(
            study=study.name,
            trial=trial.number,
            attempt=trial.attempts,
            purpose=trial.purpose,
            seeds=tuple(seeds),
            reported=done,
            recipe=study.spec.recipe(),
            schedule=trial.schedule,
            params=trial.params,
            until_epoch=self._until(tx, study, trial),
            stop=study.spec.stop if trial.purpose != "test" else None,
        )


def may_train(study: Study) -> bool:
    """Whether the caller's scopes let it train this study, and report on it."""
    return caller().may("worker") or (study.spec.external and caller().owns(study.owner))
