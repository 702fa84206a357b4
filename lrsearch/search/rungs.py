"""Rungs: successive halving as pause and promote, decided by values alone.

Asynchronous successive halving (Li et al., MLSys 2020) promotes whoever is at the top of a rung when a worker happens
to be free, so the same study goes another way on another machine. Here it is a pipeline in a fixed order instead:

* Trials *arrive* at the first rung in the order of their numbers: a trial's arrival is taken once every lower number
  has arrived or ended. Each arrival raises the count n of its rung; whoever is then among the best
  ``n // reduction_factor`` and was not promoted yet is promoted, the best first.
* The order of promotions out of one rung is the order of arrivals at the next, where the same holds.

So what a rung decides depends on the sequence of its arrivals alone, and the pipeline over trials 0..m is the beginning
of the pipeline over more: not on how many workers there are, nor on which trial is trained first.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from ..study import Outcome, TrialState
from .ladder import Ladder

NEVER = 2**63
"""The cause of what follows from the end of arrivals: later than every trial."""

TELLING = ("waiting", "completed", "diverged")
"""What says more of a trial than that it waited before; failed or cancelled says nothing of its schedule."""


class Wanted(NamedTuple):
    """A trial whose next step the pipeline waits for: its value after ``epoch`` epochs, or its end."""

    number: int
    epoch: int


class Step(NamedTuple):
    """What became of a trial at a rung or at its end.

    Attributes:
        number: the trial.
        state: waiting (it has arrived at a rung), or a terminal state.
        value: its objective there; None = not finite, or none.
        mark: where the rung lies on the scale that all trials share; 0 at the horizon.
    """

    number: int
    state: TrialState
    value: float | None
    mark: int


@dataclass(slots=True)
class _Climber:
    """One trial on its ladder; ``level`` counts its promotions."""

    ladder: Ladder
    horizon: int
    spared: bool
    level: int = 0
    end: tuple[TrialState, float | None] | None = None
    stopped: bool = False
    let_on: bool = False


class _Rung:
    """Its arrivals: those still to be taken, each with its cause; what is told of them; the ranking of those taken."""

    def __init__(self) -> None:
        self.queue: deque[tuple[int, int]] = deque()
        self.values: dict[int, float | None] = {}
        self.ranking: list[tuple[float, int]] = []


class Rungs:
    """The rungs of one study: values go in, in any order; who waits and who goes on comes out.

    A diverged trial counts as an arrival that is worse than all others: it is known to be bad. One that failed or was
    cancelled before a rung is no arrival there: nothing is known of it. One that stopped early arrives at the rungs
    beyond its end with its last value. One that ended after it had arrived keeps its place. Baselines are ranked like
    all others, but never wait. Once no more trials will begin, every rung promotes at least one, and while none of a
    bracket completes the next best goes on.

    Args:
        reduction_factor: of so many arrivals one is promoted, >= 2.
        minimize: whether smaller values are better.
    """

    def __init__(self, reduction_factor: int, minimize: bool) -> None:
        self._factor = reduction_factor
        self._sign = 1.0 if minimize else -1.0
        self._climbers: list[_Climber] = []
        self._ladders: dict[Ladder, Ladder] = {}  # each once: thousands of trials share a few
        self._brackets: dict[int, _Bracket] = {}
        self._seen = _Seen()
        self.closed = False

    def __len__(self) -> int:
        """How many trials have begun."""
        return len(self._climbers)

    def begin(self, ladder: Ladder, horizon: int, *, spared: bool = False) -> None:
        """The next trial, by number; a ``spared`` one never waits."""
        assert not self.closed, "closed rungs take no more trials: make new ones"
        number = len(self._climbers)
        self._climbers.append(_Climber(self._ladders.setdefault(ladder, ladder), horizon, spared))
        bracket = self._brackets.get(ladder.bracket)
        if bracket is None:
            new = _Bracket(len(ladder.epochs), self._factor, self._sign, self._climbers, self._seen.note)
            bracket = self._brackets[ladder.bracket] = new
        bracket.enter(number)

    def tell(self, number: int, epoch: int, value: float | None) -> None:
        """A trial's objective after ``epoch`` epochs, mean over its seeds; None = not finite."""
        self._brackets[self._climbers[number].ladder.bracket].tell(number, epoch, value)

    def end(self, number: int, state: TrialState, value: float | None, *, epochs: float = 0) -> None:
        """A trial's terminal state, its value if it completed, and the epochs it trained.

        What it reached before must be told already.
        """
        climber = self._climbers[number]
        climber.end = (state, value)
        climber.stopped = state == "completed" and 0 < epochs < climber.horizon

    def close(self) -> None:
        """No more trials will begin."""
        self.closed = True

    def let_on(self, number: int) -> None:
        """Let a trial train to its horizon that went on from a rung when no more were to begin, as now some are.

        What samplers see of it stays what its values make of it.
        """
        climber = self._climbers[number]
        if not climber.let_on:
            climber.let_on = True
            self._brackets[climber.ladder.bracket].let_on(number)

    def advance(self) -> list[int]:
        """Take every arrival that can be taken; the trials that are to go on, in the order of their promotions."""
        promoted = [number for bracket in self._brackets.values() for number in bracket.advance(self.closed)]
        return [number for number in promoted if not self._climbers[number].spared]

    def wanted(self, ahead: int = 1) -> list[Wanted]:
        """What the pipeline waits for: once it is told, ``advance`` goes on.

        Args:
            ahead: how many arrivals of each rung's queue are looked at, >= 1; those known already are left out.
        """
        return [wanted for bracket in self._brackets.values() for wanted in bracket.wanted(ahead)]

    def until(self, number: int) -> int:
        """The finished epochs at which a trial waits, or ends."""
        climber = self._climbers[number]
        epochs, level = climber.ladder.epochs, climber.level
        if climber.spared or climber.let_on or level >= len(epochs):
            return climber.horizon
        return min(epochs[level], climber.horizon)

    def epochs(self, number: int) -> tuple[int, ...]:
        """The finished epochs at which a trial meets its rungs."""
        return self._climbers[number].ladder.epochs

    def is_past(self, number: int, epoch: float) -> bool:
        """Whether ``epoch`` is a rung that a trial waited at, and was promoted from."""
        climber = self._climbers[number]
        return not climber.spared and epoch in climber.ladder.epochs and epoch < self.until(number)

    @property
    def finished(self) -> bool:
        """Whether nothing is to be trained any more: every trial has ended, or waits for good."""
        return self.closed and not self.wanted()

    def settled(self, last: int) -> bool:
        """Whether the pipeline over trials 0..``last`` alone has come to rest."""
        return last < len(self) and all(bracket.cause > last for bracket in self._brackets.values())

    def seen(self, history: Sequence[Outcome], last: int) -> list[Outcome]:
        """``history`` as the pipeline over trials 0..``last`` alone leaves it; it must be ``settled(last)``.

        A trial that waits there is shown as pruned at its rung, with its value, whatever became of it since; a
        diverged one as pruned without a value, which samplers take for worst; trials after ``last`` as running.
        """
        return self._seen.history(history, last)


class _Bracket:
    """The rungs of the trials that share a bracket, each fed by the one before."""

    def __init__(
        self,
        depth: int,
        factor: int,
        sign: float,
        climbers: Sequence[_Climber],
        note: Callable[[int, Step], None],
    ) -> None:
        self._factor = factor
        self._sign = sign
        self._climbers = climbers
        self._note = note
        self._rungs = [_Rung() for _ in range(depth)]
        self._to_horizon: dict[int, int] = {}
        self._let_on: set[int] = set()
        self._n_completed = 0

    def enter(self, number: int) -> None:
        """A trial begins to climb."""
        if self._climbers[number].spared:
            self._to_horizon[number] = number
        self._send(number, 0, number)

    def let_on(self, number: int) -> None:
        """Wait for a trial's end, too, wherever its values put it."""
        self._let_on.add(number)

    def tell(self, number: int, epoch: int, value: float | None) -> None:
        """A trial's value, for those of its rungs at this epoch that it has not gone on from."""
        climber = self._climbers[number]
        for level in range(climber.level, len(self._rungs)):
            if climber.ladder.epochs[level] == epoch:
                self._rungs[level].values[number] = value

    def advance(self, closed: bool) -> Iterator[int]:
        """Take arrivals, rung by rung; yields who is promoted."""
        moved = True
        while moved:
            moved = False
            for number in self._take_all(closed):
                moved = True
                yield number

    def wanted(self, ahead: int = 1) -> list[Wanted]:
        """The trials that are waited for."""
        queued = [(number, level) for level, rung in enumerate(self._rungs) for number, _ in islice(rung.queue, ahead)]
        arriving = [
            Wanted(number, self._climbers[number].ladder.epochs[level])
            for number, level in queued
            if not self._has_news(number, level)
        ]
        ending = dict.fromkeys([*self._to_horizon, *sorted(self._let_on)])
        return arriving + [Wanted(number, self._climbers[number].horizon) for number in ending]

    @property
    def cause(self) -> int:
        """The first trial that not all has followed from that will."""
        heads = [rung.queue[0][1] for rung in self._rungs if rung.queue]
        return min([*heads, *self._to_horizon.values()], default=NEVER)

    def _take_all(self, closed: bool) -> Iterator[int]:
        for level, rung in enumerate(self._rungs):
            while rung.queue and self._has_news(rung.queue[0][0], level):
                yield from self._arrive(level, *rung.queue.popleft())
            if closed and rung.ranking and not any(lower.queue for lower in self._rungs[: level + 1]):
                yield from self._promote(level, rung.ranking[:1], NEVER)
        for number in [number for number in self._to_horizon if self._climbers[number].end is not None]:
            self._finish(number, self._to_horizon.pop(number))
        for number in sorted(self._let_on):
            if (end := self._climbers[number].end) is not None:
                self._let_on.discard(number)
                self._n_completed += end[0] == "completed"
        if closed and not self._n_completed and not self.wanted():
            yield from self._promote_runner_up()

    def _has_news(self, number: int, level: int) -> bool:
        return number in self._rungs[level].values or self._climbers[number].end is not None

    def _arrive(self, level: int, number: int, cause: int) -> Iterator[int]:
        """Rank a trial at a rung, and promote who is at the top by that."""
        climber, rung = self._climbers[number], self._rungs[level]
        mark, ranking = climber.ladder.marks[level], rung.ranking
        if number in rung.values:
            value = rung.values.pop(number)
            self._note(cause, Step(number, "diverged" if value is None else "waiting", value, mark))
        else:
            assert climber.end is not None
            state, value = climber.end
            self._n_completed += climber.stopped
            self._note(cause, Step(number, state, value, 0 if climber.stopped else mark))
            if state != "diverged" and not climber.stopped:
                return
        arrival = (math.inf if value is None else self._sign * value, number)
        insort(ranking, arrival)
        if top := len(ranking) // self._factor:
            # all others of the top were promoted before: new in it are the newcomer, or the place that was added
            lowest = ranking[top - 1]
            yield from self._promote(level, [arrival, lowest] if arrival < lowest else [lowest], cause)

    def _promote(self, level: int, best: Sequence[tuple[float, int]], cause: int) -> Iterator[int]:
        """Send those of ``best`` on that were not before, and have a value."""
        for score, number in best:
            climber = self._climbers[number]
            if climber.level == level and math.isfinite(score):
                climber.level += 1
                self._send(number, climber.level, cause)
                yield number

    def _promote_runner_up(self) -> Iterator[int]:
        """All that were promoted diverged or failed: the best of those that wait furthest up goes on."""
        for level, rung in reversed(list(enumerate(self._rungs))):
            for arrival in rung.ranking:
                climber = self._climbers[arrival[1]]
                if climber.level == level and climber.end is None and math.isfinite(arrival[0]):
                    yield from self._promote(level, [arrival], NEVER)
                    return

    def _send(self, number: int, level: int, cause: int) -> None:
        """Let a trial go to a rung, or beyond the last one to its horizon."""
        if level < len(self._rungs):
            self._rungs[level].queue.append((number, cause))
        elif not self._climbers[number].spared:
            self._to_horizon[number] = cause

    def _finish(self, number: int, cause: int) -> None:
        end = self._climbers[number].end
        assert end is not None
        self._n_completed += end[0] == "completed"
        self._note(cause, Step(number, *end, mark=0))


class _Seen:
    """What a sampler sees of the pipeline over trials 0..last, brought forward as ``last`` grows."""

    def __init__(self) -> None:
        self._steps: dict[int, list[Step]] = {}
        self._latest: dict[int, Step] = {}
        self._last = -1

    def note(self, cause: int, step: Step) -> None:
        """A step that the arrival of trial ``cause`` at the first rung led to."""
        self._steps.setdefault(cause, []).append(step)

    def history(self, history: Sequence[Outcome], last: int) -> list[Outcome]:
        """As ``Rungs.seen``."""
        if last < self._last:
            self._latest, self._last = {}, -1
        for cause in range(self._last + 1, last + 1):
            for step in self._steps.get(cause, ()):
                before = self._latest.get(step.number)
                if before is None or (before.state == "waiting" and step.state in TELLING):
                    self._latest[step.number] = step
        self._last = max(last, -1)
        return [self._shown(past) if past.number <= last else _running(past) for past in history]

    def _shown(self, past: Outcome) -> Outcome:
        _, state, value, mark = self._latest[past.number]
        shown: TrialState = "pruned" if state in ("waiting", "diverged") else state
        return Outcome(past.number, shown, value, past.params, past.origin, mark)


def _running(past: Outcome) -> Outcome:
    return Outcome(past.number, "running", None, past.params, past.origin)
