"""The trainer: many assignments at once, an epoch at a time, and never the same epoch twice."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from ..errors import InvalidInput
from ..study import Assignment, Attempt, Point, Result
from ..tasks.task import Task
from .cohort import Cohort
from .failures import TrainingFailed, user_errors
from .group import Group, Groups
from .heap import give_back
from .held import Held
from .parked import Parked
from .phase import Phase
from .prefixes import Prefix, PrefixStore
from .program import LIVE_PROGRAMS, OutOfMemory
from .run import Run
from .task_range_test import sweep_task
from .waiting import Waiting

KNOWN = 256
"""Assignments that a trainer would hold at least, begun or not: the more it knows, the more it can share."""
TIDY_SECONDS = 20.0
"""How often the store is told what will be wanted again, and freed memory is given back."""
CLOSE_SECONDS = 5.0
"""How long the end of a trainer may take to store what is running."""

News = tuple[Attempt, Point | Result]


class Trainer:
    """Trains the assignments it is given side by side, and shares between them whatever is the same.

    Runs (a seed of an assignment each) whose keys agree are one lane of a cohort and fork where they part; those that
    begin later begin at the longest prefix that is under way or stored. ``step`` trains one epoch of one cohort, each
    in turn, so nobody waits for a slow neighbour. An assignment that stops before its schedule's end is parked there,
    its state stored, until it is extended or dropped.

    Args:
        tasks: every task by name.
        prefixes: where states are found and left.
        device: ``"cpu"``, ``"cuda:1"``, ...; None = the best one here.
        lanes: the most lanes of one program; None = as many as is fastest here.

    Attributes:
        update_seconds: what one update of the plain loop takes here, for the newest recipe; None = not measured.
        note: what people should know of how the newest recipe trains here; None = nothing.
    """

    def __init__(
        self,
        tasks: Mapping[str, type[Task]],
        prefixes: PrefixStore,
        device: str | None = None,
        *,
        lanes: int | None = None,
    ) -> None:
        self.update_seconds: float | None = None
        self.note: str | None = None
        self._prefixes = prefixes
        self._groups = Groups(tasks, device, lanes)
        self._device = device
        self._held: dict[Attempt, Held] = {}
        self._parked: dict[Attempt, Parked] = {}
        self._waiting = Waiting()
        self._cohorts: deque[Cohort] = deque()
        self._lanes = 1
        self._live_programs = LIVE_PROGRAMS
        self._tidied_at = time.monotonic()
        self._news: list[News] = []
        self._range_tests: list[Assignment] = []

    @property
    def hold(self) -> int:
        """How many assignments it would gladly hold at once, parked ones apart; one until it knows what comes."""
        return max(KNOWN, LIVE_PROGRAMS * self._lanes) if self._held or self._parked else 1

    @property
    def busy(self) -> bool:
        """Whether ``step`` has something to do."""
        return bool(self._news or self._range_tests or len(self._waiting) or self._cohorts)

    def add(self, assignment: Assignment) -> None:
        """Hold an assignment. What is wrong with it is told by the next ``step``."""
        if assignment.purpose == "range_test":
            self._range_tests.append(assignment)
            return
        if assignment.key in self._held or assignment.key in self._parked:
            return
        try:
            with user_errors():
                groups = self._groups.of(assignment)
                held = Held(assignment, groups)
        except (TrainingFailed, OutOfMemory) as failure:
            self._news.append((assignment.key, Result(state="failed", error=str(failure))))
            return
        group = groups[assignment.seeds[0]]
        self.update_seconds, self.note, self._lanes = group.update_seconds, group.note, group.lanes
        self._take(held)

    def _take(self, held: Held) -> None:
        self._held[held.assignment.key] = held
        for run in held.runs:
            self._waiting.add(run)

    def drop(self, attempt: Attempt) -> None:
        """Hold an assignment no longer, and tell nothing more of it; how far it came is stored."""
        self._range_tests = [assignment for assignment in self._range_tests if assignment.key != attempt]
        self._parked.pop(attempt, None)
        held = self._held.pop(attempt, None)
        for run in held.runs if held is not None else ():
            self._waiting.remove(run)
            for cohort in self._cohorts:
                if run in cohort.runs:
                    cohort.leave(run)
        self._cohorts = deque(cohort for cohort in self._cohorts if cohort.runs)

    def extend(self, attempt: Attempt, until_epoch: int) -> None:
        """Train an assignment further, to ``until_epoch``."""
        parked = self._parked.get(attempt)
        if parked is not None and until_epoch > parked.epoch:
            del self._parked[attempt]
            self._take(parked.extended(until_epoch, self._prefixes))
            return
        live = {run for cohort in self._cohorts for run in cohort.runs}
        for run in self._held[attempt].runs if attempt in self._held else ():
            self._waiting.remove(run)
            run.extend(until_epoch)
            if run not in live and not run.over:
                self._waiting.add(run)

    def step(self) -> list[News]:
        """Train one epoch of one cohort, or all of a range test; what there is to tell since the last call.

        Points come epoch by epoch, all seeds of a trial before the next epoch: those trained here, and those taken
        from elsewhere (``shared``) that were not reported before; of a ``test`` only the last epoch, with the
        ``test_*`` metrics. An epoch trained for several trials is ``shared`` for all but the first of them. The
        result comes after the last point: completed, diverged or failed.
        """
        if self._range_tests:
            self._news.append(self._range_test(self._range_tests.pop(0)))
        touched = {run.attempt for run in self._begin()}
        if self._cohorts:
            touched |= {run.attempt for run in self._train(self._cohorts.popleft())}
        for attempt in sorted(touched):
            if (held := self._held.get(attempt)) is not None:
                self._news += ((attempt, item) for item in held.news())
                if held.waits:
                    self._park(attempt)
        self._tidy()
        told, self._news = self._news, []
        for attempt, item in told:
            if isinstance(item, Result):
                self.drop(attempt)
        return told

    def close(self) -> None:
        """Store what is running, as far as that is quick, and hold nothing more."""
        end = time.monotonic() + CLOSE_SECONDS
        for cohort in self._cohorts:
            if time.monotonic() < end:
                cohort.save_all()
        self._cohorts.clear()
        self._waiting = Waiting()
        self._held.clear()
        self._parked.clear()

    def _park(self, attempt: Attempt) -> None:
        """Keep of an assignment that waits only what the store cannot give back."""
        self._parked[attempt] = Parked.of(self._held.pop(attempt))

    def _range_test(self, assignment: Assignment) -> News:
        """A range test from beginning to end, on a model of its own."""
        assert assignment.sweep is not None
        try:
            with user_errors():
                workload, train = self._groups.setting(assignment)
                losses = sweep_task(workload, train, assignment.seeds[0], assignment.sweep, self._device)
        except (TrainingFailed, OutOfMemory) as failure:
            return assignment.key, Result(state="failed", error=str(failure))
        return assignment.key, Result(state="completed", sweep=losses)

    def _tidy(self) -> None:
        """Now and then: let the store keep what waiting and parked runs will begin at, and give memory back."""
        if time.monotonic() - self._tidied_at < TIDY_SECONDS:
            return
        give_back()
        self._prefixes.need([*self._waiting.keys(), *(key for parked in self._parked.values() for key in parked.keys)])
        self._tidied_at = time.monotonic()

    # --- beginning

    def _begin(self) -> list[Run]:
        """Let runs begin that there are lanes for; those that did."""
        begun = self._admitted()
        for run in begun:
            self._waiting.remove(run)
        starting: dict[tuple[Group, int, Phase, int], list[tuple[Run, Prefix | None]]] = {}
        for run in begun:
            cohort = self._company(run)
            n_epochs, prefix = run.stored(self._prefixes) or (0, None)
            if cohort is not None and cohort.epoch >= n_epochs:
                cohort.join(run)
            else:
                kind = run.kind(n_epochs)
                starting.setdefault((run.group, n_epochs, kind.phase, kind.end), []).append((run, prefix))
        for cohort in list(self._cohorts):
            self._settled(cohort)
        for (group, epoch, *_), runs in starting.items():
            self._start(group, epoch, runs)
        return begun

    def _admitted(self) -> list[Run]:
        """The waiting runs to begin now: all seeds of a trial together, and no handful while much is under way."""
        waiting = list(self._waiting) if len(self._waiting) else []
        if not waiting:
            return []
        n_live = sum(len(cohort.runs) for cohort in self._cohorts)
        lanes = min(run.group.lanes for run in waiting)
        free = self._live_programs * lanes - n_live
        if n_live and free < min(len(waiting), max(1, lanes // 2)):
            return []
        unbegun = set(waiting)
        admitted: dict[Run, None] = {}
        for run in waiting:
            runs = [run for run in self._held[run.attempt].runs if run in unbegun and run not in admitted]
            if len(admitted) + len(runs) > free and (admitted or n_live):
                break
            admitted.update(dict.fromkeys(runs))
        return list(admitted)

    def _company(self, run: Run) -> Cohort | None:
        """The cohort under way that goes the run's own way for longest."""
        if run.alone:
            return None
        n_shared, cohort = max(
            ((cohort.shares(run), cohort) for cohort in self._cohorts), key=itemgetter(0), default=(-1, None)
        )
        return cohort if n_shared >= 0 else None

    def _start(self, group: Group, epoch: int, runs: Sequence[tuple[Run, Prefix | None]]) -> None:
        """New cohorts of runs that begin at ``epoch``, with the states of their prefixes."""
        lanes: dict[str, list[Run]] = {}
        prefixes: dict[str, Prefix] = {}
        for run, prefix in runs:
            if run.attempt not in self._held:  # another of its seeds has just failed
                continue
            if prefix is not None:
                if run.ends_with(prefix.records):
                    run.take_up(prefix.records)
                    continue
                prefixes[run.keys[epoch]] = prefix
            lanes.setdefault(f"{run.keys[epoch]} {run.attempt if run.alone else ''}", []).append(run)
        together = list(lanes.values())
        while together:
            alone = together[0][0].alone
            chunk = together[: 1 if alone else group.lanes]
            del together[: len(chunk)]
            self._start_cohort(group, epoch, chunk, [prefixes[lane[0].keys[epoch]] for lane in chunk if epoch])

    def _start_cohort(self, group: Group, epoch: int, lanes: list[list[Run]], prefixes: Sequence[Prefix]) -> None:
        try:
            with user_errors(*[InvalidInput] * (epoch > 0)):
                states = [prefix.state for prefix in prefixes]
                cohort = Cohort(group, epoch, lanes, states, self._prefixes)
        except InvalidInput:
            self._start_earlier(group, epoch, lanes)
        except OutOfMemory as failure:
            self._shrink(group, [run for lane in lanes for run in lane], len(lanes), failure)
        except TrainingFailed as failure:
            self._fail((run for lane in lanes for run in lane), failure)
        else:
            for lane, records in zip(lanes, [prefix.records for prefix in prefixes] or [()] * len(lanes), strict=True):
                for run in lane:
                    run.take_up(records)
            self._cohorts.append(cohort)
            self._settled(cohort)

    def _start_earlier(self, group: Group, epoch: int, lanes: Sequence[list[Run]]) -> None:
        """A stored state was not the program's: begin at the next shorter one."""
        for lane in lanes:
            keys = lane[0].keys
            n_epochs, prefix = self._prefixes.longest(keys[: epoch + (len(lanes) > 1)]) or (0, None)
            self._start(group, n_epochs, [(run, prefix) for run in lane])

    # --- training

    def _train(self, cohort: Cohort) -> list[Run]:
        """One epoch of a cohort that is no longer in line; it stands in line again if it goes on. Its runs."""
        try:
            with user_errors():
                self._gather(cohort)
                self._waiting.foresee(cohort.lanes)
                cohort.leave_behind(self._waiting.needs)
                self._cohorts += cohort.split(cohort.group.lanes)
                cohort.train()
        except OutOfMemory as failure:
            cohort.save_all()
            self._shrink(cohort.group, cohort.runs, max(len(cohort.lanes), len(cohort.parts())), failure)
            return []
        except TrainingFailed as failure:
            self._part(cohort, failure)
            return []
        trained = cohort.runs
        self._cohorts.append(cohort)
        self._settled(cohort)
        return trained

    def _gather(self, cohort: Cohort) -> None:
        """Let a cohort take over others at its epoch, as far as all their lanes fit one program."""
        for other in [other for other in self._cohorts if cohort.goes_with(other)]:
            if len(cohort.parts()) + len(other.parts()) <= cohort.group.lanes:
                cohort.absorb(other)
                self._cohorts.remove(other)

    def _settled(self, cohort: Cohort) -> None:
        """Let go of the runs that are over, measured if they are tests, and of those that cannot go on."""
        n_lanes = len(cohort.lanes)
        untested: dict[Run, OutOfMemory] = {}
        for run in [run for run in cohort.runs if run.over or run.fault is not None]:
            try:
                with user_errors():
                    run.check()
                    if run.to_test and run.whole and not run.diverged:
                        run.end_test(cohort.test(run))
            except OutOfMemory as failure:
                untested[run] = failure
            except TrainingFailed as failure:
                self._fail([run], failure)
            if run in cohort.runs:
                cohort.leave(run)
        if not cohort.runs and cohort in self._cohorts:
            self._cohorts.remove(cohort)
        if untested:
            self._shrink(cohort.group, untested, n_lanes, next(iter(untested.values())))

    def _shrink(self, group: Group, runs: Iterable[Run], n_lanes: int, failure: OutOfMemory) -> None:
        """The device's memory did not hold ``n_lanes``: begin again where they are stored, with half as many."""
        if n_lanes == 1 and not self._cohorts:
            self._fail(runs, OutOfMemory(f"the device's memory does not hold a single lane of it: {failure}"))
            return
        group.lanes = max(1, min(group.lanes, n_lanes) // 2)
        self._live_programs = max(1, self._live_programs // 2)
        self._again(runs)

    def _part(self, cohort: Cohort, failure: TrainingFailed) -> None:
        """The task's code failed: where one lane is at fault the others must not suffer, so each begins again alone."""
        # where they stand and go to: a lane that is about to fork counts as those that come of it
        if len({tuple(run.keys[cohort.epoch : cohort.epoch + 2]) for run in cohort.runs}) == 1:
            self._fail(cohort.runs, failure)
            return
        for run in cohort.runs:
            run.alone = True
        self._again(cohort.runs)

    def _again(self, runs: Iterable[Run]) -> None:
        """Let runs wait for another beginning, but for those whose trial has failed meanwhile."""
        for run in runs:
            if run.attempt in self._held:
                self._waiting.add(run)

    def _fail(self, runs: Iterable[Run], failure: Exception) -> None:
        for attempt in dict.fromkeys(run.attempt for run in runs):
            self._news.append((attempt, Result(state="failed", error=str(failure))))
            self.drop(attempt)
