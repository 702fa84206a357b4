"""A cohort: the lanes of one program, all at the same epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np

from .failures import memory_errors
from .group import Group
from .phase import Phase, without_moments
from .prefixes import Prefix, PrefixStore
from .program import OutOfMemory, State
from .run import Kind, Run

SAVE_SECONDS = 30.0
"""After this much training the lanes of a cohort are saved."""

Lane = list[Run]
"""The runs whose trajectory is the same so far; never empty while the program trains it."""


class Cohort:
    """Runs of one group at the same epoch; those whose keys agree are one lane, which forks where they part.

    Args:
        group: of all the runs.
        epoch: epochs that the lanes have behind them.
        lanes: the runs of each lane.
        states: the state of each lane; empty at epoch 0.
        prefixes: where states are left.
        phase: the optimiser that they go on with; None = the one that they have.

    Raises:
        InvalidInput: a state is not the program's.
        OutOfMemory: there are too many lanes.
    """

    def __init__(
        self,
        group: Group,
        epoch: int,
        lanes: Sequence[Lane],
        states: Sequence[State],
        prefixes: PrefixStore,
        *,
        phase: Phase | None = None,
    ) -> None:
        self.group = group
        self.epoch = epoch
        self.lanes: list[Lane] = list(lanes)
        self.trained_seconds = 0.0
        self._lost = False
        self.phase = lanes[0][0].kind(epoch).phase if phase is None else phase
        self._program = program = group.program(self.phase)
        self._prefixes = prefixes
        self._saved = {lane[0].keys[epoch] for lane in lanes}
        if len(lanes) != program.n_lanes:
            program.fork([0] * len(lanes))
        for number, state in enumerate(states):
            program.load(number, state)

    @property
    def runs(self) -> list[Run]:
        """The runs of all lanes."""
        return [run for lane in self.lanes for run in lane]

    def goes_with(self, other: Cohort) -> bool:
        """Whether the two could be one."""
        same = other is not self and other.group is self.group and other.epoch == self.epoch
        same = same and other.phase == self.phase and other._kinds() == self._kinds()
        return same and not any(run.alone for run in (*self.runs, *other.runs))

    def _kinds(self) -> set[Kind]:
        return {lane[0].kind(self.epoch + 1) for _, lane in self.parts()}

    def lane_of(self, run: Run) -> Lane | None:
        """The lane that has come a run's way; None where there is none, or it takes no company."""
        if run.group is not self.group or run.until < self.epoch:
            return None
        for lane in self.lanes:
            if lane:
                run.learn_from(lane[0])
        if len(run.keys) <= self.epoch or not self._trains(run):
            return None
        key = run.keys[self.epoch]
        return next(
            (lane for lane in self.lanes if lane and lane[0].keys[self.epoch] == key and not lane[0].alone), None
        )

    def _trains(self, run: Run) -> bool:
        """Whether a run that has come a lane's way may go on with this cohort's optimiser.

        Between the switch to a new one and its first epoch, lanes no longer have what their keys so far stand for.
        """
        if run.kind(self.epoch).phase == self.phase:
            return True
        return len(run.keys) > self.epoch + 1 and run.kind(self.epoch + 1).phase == self.phase

    def shares(self, run: Run) -> int:
        """Epochs from the start that a run not begun has in common with those under way, -1 where it may not join."""
        if self.lane_of(run) is None:
            return -1
        return max(run.common(other) for other in self.runs)

    def join(self, run: Run) -> None:
        """A run that has not begun goes on with the lane that has come its way."""
        lane = self.lane_of(run)
        assert lane is not None
        run.take_up(lane[0].records)
        lane.append(run)

    def leave(self, run: Run) -> None:
        """A run goes; its lane is saved if it was the last on it, or has come to its end or to where it waits."""
        number, lane = next((number, lane) for number, lane in enumerate(self.lanes) if run in lane)
        if len(lane) == 1 or run.whole or run.over:
            with suppress(OutOfMemory), memory_errors():
                self.save(number)
        lane.remove(run)

    def leave_behind(self, needs: Callable[[Lane, Sequence[str]], bool]) -> None:
        """Store the states that others will begin at.

        Args:
            needs: whether a run that has not begun comes by a lane's state and goes on to none of the given next keys.
        """
        following: dict[int, list[str]] = {}
        for number, part in self.parts():
            following.setdefault(number, []).append(part[0].keys[self.epoch + 1])
        for number, keys in following.items():
            if needs(self.lanes[number], keys):
                self.save(number)

    def train(self) -> None:
        """One epoch of every lane.

        Raises:
            OutOfMemory: the lanes are what they were.
            Exception: what the task's own code or a device raises; the lanes are lost, and stored no more.
        """
        began = time.monotonic()
        self._fork(self.parts())
        epoch = self.epoch + 1
        controls = np.stack([lane[0].controls(epoch) for lane in self.lanes])
        try:
            records = self._program.run_epoch(epoch, controls)
        except OutOfMemory:
            raise
        except Exception:
            self._lost = True  # who knows how far each lane came
            raise
        self.epoch = epoch
        self._saved.clear()
        for lane, record in zip(self.lanes, records, strict=True):
            first = min(lane, key=lambda run: run.rank)
            for run in lane:
                run.add(record, shared=run is not first)
        self.trained_seconds += time.monotonic() - began
        if self.trained_seconds >= SAVE_SECONDS:
            self.save_all()

    def parts(self) -> list[tuple[int, Lane]]:
        """The lanes of the next epoch: which present one each comes from, and its runs."""
        parts: dict[str, tuple[int, Lane]] = {}
        for number, lane in enumerate(self.lanes):
            for run in lane:
                parts.setdefault(run.keys[self.epoch + 1], (number, []))[1].append(run)
        return list(parts.values())

    def _fork(self, parts: Sequence[tuple[int, Lane]]) -> None:
        index = [number for number, _ in parts]
        if index != list(range(len(self.lanes))):
            self._program.fork(index)
        self.lanes = [lane for _, lane in parts]

    def split(self, n_lanes: int) -> list[Cohort]:
        """Hand the next epoch's lanes beyond ``n_lanes`` to further cohorts, about as many to each; answers those.

        Lanes that are trained in different ways part, and where their optimiser changes they begin with the new one.

        Raises:
            OutOfMemory: as a new cohort; this one is what it was.
            Exception: likewise.
        """
        kinds: dict[Kind, list[tuple[int, Lane]]] = {}
        for number, lane in self.parts():
            kinds.setdefault(lane[0].kind(self.epoch + 1), []).append((number, lane))
        chunks = [(kind.phase, chunk) for kind, parts in kinds.items() for chunk in even_chunks(parts, n_lanes)]
        for phase, parts in chunks:
            if phase != self.phase:
                for number, _ in parts:
                    self.save(number)  # now or never: with a fresh optimiser they are not what their keys stand for
        others = [self._split_off(phase, parts) for phase, parts in chunks[1:]]
        phase, parts = chunks[0]
        if phase != self.phase:
            own = self._split_off(phase, parts)
            self.lanes, self.phase, self._program = own.lanes, own.phase, own._program
        elif others:
            self._fork(parts)
        return others

    def _split_off(self, phase: Phase, parts: Sequence[tuple[int, Lane]]) -> Cohort:
        """A cohort of copies of some lanes, which go on with the optimiser of ``phase``."""
        numbers = sorted({number for number, _ in parts})
        states = [self._program.save(number) for number in numbers]
        if phase != self.phase:
            states = [without_moments(state) for state in states]
        lanes = [[run for number, lane in parts if number == source for run in lane] for source in numbers]
        other = Cohort(self.group, self.epoch, lanes, states, self._prefixes, phase=phase)
        other._saved = set(self._saved)
        return other

    def absorb(self, other: Cohort) -> None:
        """Take over another cohort's lanes: same group, same epoch.

        Raises:
            OutOfMemory: both have the runs and states that they had.
        """
        there = [number for number, lane in enumerate(other.lanes) if lane]
        here = [number for number, lane in enumerate(self.lanes) if lane]
        states = [other._program.save(number) for number in there]
        self._program.fork([*here, *[here[0]] * len(there)])
        # the program's lanes have moved: ours must, too, whatever becomes of those that come
        self.lanes = [*(self.lanes[number] for number in here), *([] for _ in there)]
        for number, state in enumerate(states, start=len(here)):
            self._program.load(number, state)
        self.lanes[len(here) :] = [other.lanes[number] for number in there]
        self._saved |= other._saved

    def test(self, run: Run) -> Mapping[str, float]:
        """The ``test_*`` metrics of a run's present state.

        Raises:
            OutOfMemory: the lanes are what they were.
        """
        return self._program.test(next(number for number, lane in enumerate(self.lanes) if run in lane))

    def save(self, number: int) -> None:
        """Store a lane's state, unless it is stored or lost."""
        lane = self.lanes[number]
        if self._lost or not lane or self.epoch == 0 or lane[0].keys[self.epoch] in self._saved:
            return
        self._prefixes.save(lane[0].keys[self.epoch], Prefix(tuple(lane[0].records), self._program.save(number)))
        for run in lane:
            run.leave_trail(self._prefixes)
        self._saved.add(lane[0].keys[self.epoch])

    def save_all(self) -> None:
        """Store every lane's state that there is memory for; what is not stored costs training, and no more."""
        for number in range(len(self.lanes)):
            with suppress(OutOfMemory), memory_errors():
                self.save(number)
        self.trained_seconds = 0.0


def even_chunks(parts: Sequence[tuple[int, Lane]], size: int) -> list[Sequence[tuple[int, Lane]]]:
    """``parts`` in as few pieces of at most ``size`` as there can be, about as many to each."""
    each = -(-len(parts) // -(-len(parts) // size))
    return [parts[first : first + each] for first in range(0, len(parts), each)]
