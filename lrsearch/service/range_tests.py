"""Range tests: made by workers as assignments of their own, alone or for a study whose ``initial_lr`` is ``auto``."""

from __future__ import annotations

from ..errors import Conflict, InvalidInput
from ..finder import read
from ..resolve import asks_for_range, complete_range_test, range_test_of, with_range
from ..schedules import FAMILIES
from ..store import LeaseRow, Transaction
from ..study import Assignment, Directive, Page, RangeTest, RangeTestSpec, Rejected, Report, Study, StudySpec, SweepSpec
from ..tasks.catalog import CATALOG
from .ground import differing
from .naming import numbered
from .studies import Studies

MARK = "range test "
"""A lease that holds a range test has this and its name for a recipe: nothing else goes with it."""
LOST_TOO_OFTEN = "the workers that held it were lost {times} times; the last one was {worker}"
SOURCE = "range test {name}"
NO_RANGE = "range test `{name}` found no rate to begin with: {verdict}; give `initial_lr` a range instead of auto"


class RangeTests(Studies):
    """Range tests from their creation to their end."""

    def range_test(
        self, spec: RangeTestSpec, *, owner: str = "local", key: str | None = None
    ) -> tuple[RangeTest, bool]:
        """Store a range test, to be made by the first worker that offers its task.

        Args:
            spec: the range test as written.
            owner: whose it is.
            key: an ``Idempotency-Key``.

        Returns:
            The range test, and whether it is new: the same name and spec again answer the one that is there.

        Raises:
            InvalidInput: options or recipe break a law that only the task knows.
            Conflict: a range test of this name has another spec.
        """
        request = {"range_test": spec.model_dump(mode="json")}
        with self._writing() as tx:
            if answer := self._answered(tx, RangeTest, key, owner, request):
                return answer, True
            if spec.name is not None and (found := tx.range_tests.find(spec.name)) is not None:
                offer = self._offer(tx, spec.task)
                ours = complete_range_test(spec, offer) if offer is not None else spec
                differ = differing(found.spec.model_dump(mode="json"), ours.model_dump(mode="json"))
                if differ:
                    raise Conflict(
                        f"there is a range test `{spec.name}` with another spec ({', '.join(differ)} differ)"
                    )
                return found, False
            test = self._add_range_test(tx, spec, owner)
            self._audit(tx, "create", f"range-tests/{test.name}")
            return self._answer(tx, test, key, owner, request), True

    def range_test_named(self, name: str) -> RangeTest:
        """One range test. Raises NotFound."""
        with self.store.transaction(write=False) as tx:
            return tx.range_tests.get(name)

    def range_tests(self, *, limit: int = 50, cursor: str | None = None) -> Page[RangeTest]:
        """Range tests, newest first."""
        with self.store.transaction(write=False) as tx:
            return tx.range_tests.page(limit=limit, cursor=cursor)

    def _add_range_test(self, tx: Transaction, spec: RangeTestSpec, owner: str, study: str | None = None) -> RangeTest:
        name = spec.name
        if name is None or (study is not None and tx.range_tests.find(name) is not None):
            name = numbered(f"range-{spec.task[:80]}", tx.range_tests.find)
        spec = spec.model_copy(update={"name": name})
        offer = self._offer(tx, spec.task)
        warnings: tuple[str, ...] = (self._unoffered(tx, spec.task, "range test"),)
        if offer is not None:
            spec, warnings = complete_range_test(spec, offer), ()
        test = RangeTest(
            name=name, owner=owner, state="queued", spec=spec, study=study, warnings=warnings, created_at=tx.now()
        )
        tx.range_tests.add(test)
        return test

    def _add_study(self, tx: Transaction, spec: StudySpec, owner: str, comparison: str | None = None) -> Study:
        study = super()._add_study(tx, spec, owner, comparison)
        if asks_for_range(spec):
            assert spec.name is not None
            self._add_range_test(tx, range_test_of(spec, f"{spec.name[:90]}.range"), owner, study.name)
        return study

    def _hand_out_range_test(self, tx: Transaction, row: LeaseRow) -> Assignment | None:
        """The oldest range test that a lease without work may make."""
        offered = CATALOG if row.tasks is None else row.tasks
        for test in tx.range_tests.queued():
            if test.spec.task not in offered or (row.only_study is not None and test.study != row.only_study):
                continue
            if test.study is not None and tx.studies.get(test.study).state not in ("queued", "running"):
                continue
            offer = self._offer(tx, test.spec.task)
            assert offer is not None
            try:
                spec = complete_range_test(test.spec, offer)
            except InvalidInput as error:
                self._end_range_test(tx, test, "failed", error=f"the spec does not fit the task: {error}"[:2000])
                continue
            new = {"spec": spec, "warnings": (), "attempts": test.attempts + 1, "worker": row.worker}
            started = test.started_at or tx.now()
            tx.range_tests.change(test.name, lease=row.lease, state="running", started_at=started, **new)
            return _assignment(tx.range_tests.get(test.name))
        return None

    def _held_range_test(self, tx: Transaction, row: LeaseRow) -> RangeTest | None:
        """The range test that a lease holds."""
        if not row.recipe.startswith(MARK):
            return None
        name = row.recipe.removeprefix(MARK)
        return tx.range_tests.get(name) if tx.range_tests.lease_of(name) == row.lease else None

    def _take_range_test(
        self, tx: Transaction, test: RangeTest, reports: list[Report]
    ) -> tuple[list[Directive], list[Rejected]]:
        """Take in what a worker reports on the range test that it holds."""
        rejected = []
        for report in reports:
            if report.attempt != test.attempts or report.trial != 0:
                gone = {"study": report.study, "trial": report.trial, "attempt": report.attempt}
                rejected.append(Rejected(**gone, reason=f"lost: the range test is at attempt {test.attempts}"))
                continue
            result = report.result
            if result is None:
                continue
            if result.state == "completed" and result.sweep is not None and result.sweep.lr:
                self._end_range_test(tx, test, "completed", result=read(result.sweep))
            else:
                error = result.error or "its worker sent no curve"
                self._end_range_test(tx, test, "failed", error=error)
        return [], rejected

    def _sweep_again(
        self, tx: Transaction, row: LeaseRow, sweep: RangeTest | None
    ) -> tuple[list[Assignment], list[Directive]]:
        """What a lease still holds, repeated so that a lost answer does no harm; or that it is to stop."""
        if sweep is None or tx.range_tests.lease_of(sweep.name) != row.lease:
            return [], []
        study = tx.studies.find(sweep.study) if sweep.study is not None else None
        if study is None or study.state in ("queued", "running"):
            return [_assignment(sweep)], []
        state = "cancelled" if study.state != "paused" else "queued"
        tx.range_tests.change(sweep.name, lease=None, state=state)
        why = "paused" if study.state == "paused" else "cancelled"
        return [], [Directive(study=sweep.name, trial=0, do="stop", why=why)]

    def _let_go_range_test(self, tx: Transaction, row: LeaseRow, *, lost: bool) -> None:
        """Queue again what a lease held, unless its workers were lost too often."""
        test = self._held_range_test(tx, row)
        if test is None or test.state != "running":
            return
        self._ring()
        if lost and test.attempts >= self.settings.max_lost:
            error = LOST_TOO_OFTEN.format(times=test.attempts, worker=test.worker)
            self._end_range_test(tx, test, "failed", error=error)
        else:
            tx.range_tests.change(test.name, lease=None, state="queued")

    def _end_range_test(self, tx: Transaction, test: RangeTest, state: str, **fields: object) -> None:
        """Set a range test's last state; its study goes on with what was found, or fails."""
        tx.range_tests.change(test.name, lease=None, state=state, finished_at=tx.now(), **fields)
        self._ring()
        if test.study is None:
            return
        study, test = tx.studies.get(test.study, lock=True), tx.range_tests.get(test.name)
        if study.state not in ("queued", "running", "paused") or study.resolved:
            return
        if test.result is None:
            self._end(tx, study, "failed", f"range test `{test.name}` failed: {test.error}"[:2000])
        elif test.result.initial_lr is None:
            self._end(tx, study, "failed", NO_RANGE.format(name=test.name, verdict=test.result.verdict)[:2000])
        else:
            source = SOURCE.format(name=test.name)
            spec = with_range(study.spec, test.result.initial_lr.model_copy(update={"source": source}))
            self._resolve_late(tx, tx.studies.change(study.name, spec=spec))


def recipe_mark(assignment: Assignment) -> str:
    """What a lease that holds this range test has for a recipe."""
    return MARK + assignment.study


def _assignment(test: RangeTest) -> Assignment:
    spec = test.spec
    horizon = {"updates": spec.updates, "eval_every": spec.updates}
    return Assignment(
        study=test.name,
        trial=0,
        attempt=test.attempts,
        purpose="range_test",
        seeds=(spec.train.seed,),
        recipe=spec.recipe(),
        schedule=FAMILIES["constant"].model_validate({"family": "constant", "initial_lr": spec.low, **horizon}),
        until_epoch=1,
        sweep=SweepSpec.model_validate(
            spec.model_dump(include={"low", "high", "updates", "batches_per_rate", "sweep"})
        ),
    )


__all__ = ["RangeTests", "recipe_mark"]
