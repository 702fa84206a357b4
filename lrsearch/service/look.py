"""A look at some schedules: their rates at a few updates, and what in them is hardly meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..schedules import Clock, Constant, FloatArray, History, Schedule
from ..trajectory import plan_key

N_POINTS = 241
"""Curves are given at about so many updates."""
N_KEYED = 1_000_000
"""Rates beyond these are not computed to find out whether curves that look alike are the same."""
IDLE_SHARE = 0.05
"""The share of a training that may be spent at rates too small for the weights' type."""
DECAYS = ("decay_rate", "final_factor")
"""The parameters of which 1 means that the rate never falls."""


@dataclass(frozen=True)
class Seen:
    """One schedule, looked at.

    Attributes:
        schedule: the schedule.
        updates: the updates looked at, rising; the horizon's last one among them.
        updates_per_epoch: updates an epoch where the horizon is in epochs.
        precision: the type of the weights.
    """

    schedule: Schedule
    updates: FloatArray
    updates_per_epoch: int | None
    precision: str

    @cached_property
    def clock(self) -> Clock:
        """Its lengths in updates."""
        return self.schedule.clock(self.updates_per_epoch)

    @cached_property
    def improving(self) -> FloatArray:
        """The rates while its metric improves, if it looks at one."""
        return self._rates(self.schedule, self.schedule.improving(self.updates_per_epoch))

    @cached_property
    def stalled(self) -> FloatArray:
        """The rates while its metric never improves."""
        history = self.schedule.stalled(self.updates_per_epoch)
        return self._rates(self.schedule, history) if history else self.improving

    def _rates(self, schedule: Schedule, history: History) -> FloatArray:
        return schedule.lr(self.updates, self.updates_per_epoch, history=history)

    @cached_property
    def parts(self) -> tuple[Seen, ...]:
        """Itself and the schedules of its parameter groups."""
        return (self, *(replace(self, schedule=own) for _, own in self.schedule.groups))

    @property
    def groups(self) -> dict[str, FloatArray]:
        """The rates of its parameter groups, by name."""
        return {name: self._rates(own, ()) for name, own in self.schedule.groups}

    def long_warmup(self) -> bool:
        """Whether more than half of the training is warm-up."""
        return 2 * self.clock.warmup > self.clock.horizon

    def never_switches(self) -> bool:
        """Whether the second optimiser would only take over after the training."""
        return self.schedule.switch_to is not None and "switch_to" not in self.schedule.wider

    def no_decay(self) -> bool:
        """Whether a factor of 1 keeps a family that decays from doing so."""
        return not isinstance(self.schedule, Constant) and any(
            getattr(self.schedule, name, None) == 1 for name in DECAYS
        )

    def never_fires(self) -> bool:
        """Whether the end of some length would come after the training's: longer, it would make no difference."""
        return not self.no_decay() and any(self._waits_in_vain(name) for name in self.schedule.EVENTS)

    def _waits_in_vain(self, name: str) -> bool:
        value, more = getattr(self.schedule, name), self.schedule.horizon
        longer = (*value[:-1], value[-1] + more) if isinstance(value, tuple) else value + more
        later = self.schedule.model_copy(update={name: longer})
        return np.array_equal(self._rates(later, self.schedule.stalled(self.updates_per_epoch)), self.stalled)

    @property
    def resolution(self) -> float:
        """Half the distance from 1 to the next smaller number of the weights' type."""
        return float(np.finfo(self.precision).epsneg) / 2

    def below_resolution(self) -> bool:
        """Whether a good part of the training has rates that move no weight near 1."""
        return float(np.mean(self.improving < self.resolution)) > IDLE_SHARE


RULES: tuple[tuple[Callable[[Seen], bool], str], ...] = (
    (Seen.long_warmup, "the warm-up takes more than half of the training"),
    (Seen.never_fires, "a step never fires: the training ends before it, or the floor is reached before"),
    (Seen.never_switches, "the second optimiser never takes over: `switch_at` is the end of the training, or later"),
    (Seen.no_decay, "a decay of 1 is none: with `decay_rate` or `final_factor` 1 the rate never falls"),
    (
        Seen.below_resolution,
        "more than 5 % of the training has rates below float resolution, which move no weight near 1",
    ),
)
"""What is hardly meant, and what is said of it."""


@dataclass(frozen=True)
class Look:
    """Several schedules of one horizon, looked at together.

    Attributes:
        schedules: at least one, by trial number from 0.
        updates_per_epoch: updates an epoch where the horizon is in epochs.
        precision: the type of the weights, ``float32`` or ``float64``.
        shown: of how many the peaks are among the updates looked at.
    """

    schedules: Sequence[Schedule]
    updates_per_epoch: int | None
    precision: str = "float32"
    shown: int = 0
    seen: tuple[Seen, ...] = field(init=False)

    def __post_init__(self) -> None:
        horizon = self.schedules[0].clock(self.updates_per_epoch).horizon
        even = np.rint(np.linspace(0, horizon - 1, min(horizon, N_POINTS)))
        peaks = [schedule.clock(self.updates_per_epoch).warmup for schedule in self.schedules[: self.shown]]
        updates = np.unique(np.concatenate([even, np.array(peaks, dtype=np.float64)]))
        seen = tuple(Seen(schedule, updates, self.updates_per_epoch, self.precision) for schedule in self.schedules)
        object.__setattr__(self, "seen", seen)

    @property
    def updates(self) -> tuple[int, ...]:
        """The updates looked at, rising from 0."""
        return tuple(int(update) for update in self.seen[0].updates)

    def envelope(self) -> tuple[FloatArray, FloatArray]:
        """The lowest and the highest rate of all schedules at every update, whatever is measured."""
        low = np.minimum.reduce([np.minimum(one.improving, one.stalled) for one in self.seen])
        high = np.maximum.reduce([np.maximum(one.improving, one.stalled) for one in self.seen])
        return low, high

    def warnings(self, of: int | None) -> list[str]:
        """What is hardly meant, with how many schedules and an example; ``of``: all trials of the study."""
        n, told = len(self.seen), []
        among = f"{n:,}" if n == of else f"the first {n:,}"
        for law, words in RULES:
            found = [number for number, one in enumerate(self.seen) if any(map(law, one.parts))]
            if found:
                told.append(f"{words} ({len(found)} of {among} schedules, first trial {found[0]})")
        if same := self.n_repeated():
            told.append(
                f"{same} of {among} schedules {'has' if same == 1 else 'have'} the same curve as an earlier one, "
                "which is trained only once"
            )
        return told

    def n_repeated(self) -> int:
        """How many schedules have the curve of an earlier one, at every update; 0 where that is too long to find out.

        Metric-driven schedules, whose curves nobody knows yet, are not counted.
        """
        alike: dict[bytes, list[Schedule]] = defaultdict(list)
        with np.errstate(over="ignore"):  # rates beyond the type's range are all alike, and compared exactly below
            for one in self.seen:
                alike[np.float32(one.improving).tobytes()].append(one.schedule)
        doubtful = [group for group in alike.values() if len(group) > 1]
        if sum(map(len, doubtful)) * self.seen[0].clock.horizon > N_KEYED:
            return 0
        keys = [plan_key({}, 0, schedule, self.updates_per_epoch) for group in doubtful for schedule in group]
        known = [key for key in keys if key is not None]
        return len(known) - len(set(known))
