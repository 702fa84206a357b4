"""One seed of one assignment: its way through the epochs, and what of it is still to be told."""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..errors import InvalidInput
from ..schedules import FloatArray
from ..study import Assignment
from .group import Group
from .phase import Phase
from .plan import Plan
from .prefixes import Prefix, PrefixStore
from .program import EpochRecord


class Told(NamedTuple):
    """An epoch of a run, whether it was trained for another or before, and whether it is a point to send."""

    record: EpochRecord
    shared: bool
    sent: bool = True


class Kind(NamedTuple):
    """What lanes must have in common to be trained in one call.

    Attributes:
        phase: the optimiser.
        columns: how many columns of controls there are.
        first: the interval's first update. Runs of one recipe may have intervals of different lengths, so that the
            number of an interval does not tell.
        end: after its last update.
    """

    phase: Phase
    columns: int
    first: int
    end: int


class Run:
    """A trajectory that an assignment asks for.

    Args:
        assignment: the trial.
        seed: one of its seeds.
        group: the group of its recipe and this seed.

    Attributes:
        keys: ``store_key`` after 0, 1, ..., ``until`` epochs; of a metric-driven schedule as far as they are known,
            one epoch more than there are records at least.
        until: where it stops for now, counted in epochs from the start.
        end: where it is over: its schedule's end, or of a test where the trial stopped.
        records: of the epochs so far.
        untold: what the service has not heard yet, in the order in which it came about.
        rank: whose epoch a trained one is, among those who share it: the lowest's.
        restored: whether every epoch so far was shared; what was trained for it and begins again was not.
        is_test: whether only the end is told, with its ``test_*`` metrics.
        to_test: whether they are still to be measured.
        alone: whether it gets a program of its own, as something in its company failed.
        fault: why its schedule says no further keys; None = it does.

    Raises:
        InvalidInput: its schedule says none at all.
    """

    def __init__(self, assignment: Assignment, seed: int, group: Group) -> None:
        self.attempt = assignment.key
        self.seed = seed
        self.group = group
        self.schedule = assignment.schedule
        self.plan = self._new_plan()
        self.keys = [group.start]
        self._ways = [(Phase(), 1)]  # ``Kind``'s first two of each epoch, as far as the keys go
        self.until = 0
        self.records: list[EpochRecord] = []
        self.fault: InvalidInput | None = None
        self.extend(assignment.until_epoch)
        self.check()
        self.untold: deque[Told] = deque()
        self.is_test = self.to_test = assignment.purpose == "test"
        self.end = assignment.until_epoch if self.is_test else self.plan.n_epochs
        self.rank = (assignment.purpose != "trial", self.is_test, assignment.key)
        self.alone = False
        self.restored = True
        self._heard = assignment.reported

    def _new_plan(self) -> Plan:
        return Plan(self.schedule, self.group.updates_per_epoch)

    def extend(self, until: int) -> None:
        """Go on to ``until``, at most to the schedule's end."""
        self.until = max(self.until, min(until, self.plan.n_epochs))
        self.foresee(self.records, self.keys)
        self.plan = self._new_plan()  # leaves the controls behind, as it may be long before they are wanted

    def foresee(self, records: Sequence[EpochRecord], keys: Sequence[str]) -> None:
        """Add the keys that are known once a trajectory with ``keys``, which agree with ours, has these records.

        A schedule may look at a metric that they lack. That is told by ``check``, where it fails nobody else.
        """
        try:
            self._foresee(records, keys)
        except InvalidInput as fault:
            self.fault = fault

    def _foresee(self, records: Sequence[EpochRecord], keys: Sequence[str]) -> None:
        known = len(self.keys) - 1
        history = [record.metrics for record in records] if known < self.until else []
        while known < self.until:
            done = min(known, len(history))
            if self.keys[done] != keys[done]:
                return
            foreseen = min(self.until, self.plan.foreseen(history[:done]))
            if foreseen <= known:
                return
            self.keys += self.plan.chain(self.keys[-1], known + 1, foreseen + 1, history[:done])
            if self.schedule.wider:
                for epoch in range(known + 1, foreseen + 1):
                    controls = self.plan.controls(epoch, history[:done])
                    self._ways.append((self._ways[-1][0].next(epoch, controls), controls.shape[1]))
            else:
                self._ways += self._ways[:1] * (foreseen - known)
            known = foreseen

    def kind(self, epoch: int) -> Kind:
        """How an epoch is trained whose key is known; of epoch 0, the start, the optimiser and ``end`` mean something.

        Runs that have the key in common have it in common, too.
        """
        return Kind(*self._ways[epoch], *self.plan.bounds(epoch))

    def learn_from(self, other: Run) -> None:
        """Let a metric-driven run foresee its keys: whoever comes the same way measures the same."""
        if self.schedule.METRIC_DRIVEN:
            self.foresee(other.records, other.keys)

    def check(self) -> None:
        """Raise InvalidInput where its schedule does not say how to go on."""
        if self.fault is not None and not self.over:
            raise self.fault

    def controls(self, epoch: int) -> FloatArray:
        """The controls of the next epoch."""
        history = [record.metrics for record in self.records] if self.schedule.METRIC_DRIVEN else []
        return self.plan.controls(epoch, history)

    def stored(self, prefixes: PrefixStore) -> tuple[int, Prefix] | None:
        """The longest stored prefix that is known to be this run's: how many epochs it has, and the prefix."""
        ended = self.is_test  # the trial has, whoever trained it
        trail = self._trail(self.until) if self.schedule.METRIC_DRIVEN else []
        if trail and (measured := prefixes.longest(trail, just_stored=ended)) is not None:
            self.foresee(measured[1].records, self.keys)
        found = prefixes.longest(self.keys, just_stored=ended)
        while found is not None:
            n_keys = len(self.keys)
            self.foresee(found[1].records, self.keys)
            if len(self.keys) == n_keys:
                break
            found = prefixes.longest(self.keys, just_stored=ended)
        return found

    def recall(self, key: str, prefixes: PrefixStore) -> None:
        """Let a metric-driven run foresee its keys from what is stored under ``key``, which is one of them."""
        if self.schedule.METRIC_DRIVEN and (stored := prefixes.load(key)) is not None:
            self.foresee(stored.records, self.keys)

    def leave_trail(self, prefixes: PrefixStore) -> None:
        """Store the records of a metric-driven run under its schedule's own name, so that its keys are found again.

        The controls that a state is stored under follow from what was measured, which nobody knows who comes later.
        """
        if self.schedule.METRIC_DRIVEN and self.records:
            prefixes.save(self._trail(self.epoch)[-1], Prefix(tuple(self.records), {}))

    def _trail(self, n_epochs: int) -> list[str]:
        name = f"{self.group.start} {self.schedule.model_dump_json()}"
        return [
            hashlib.blake2b(f"{name} {epoch}".encode(), digest_size=16).hexdigest() for epoch in range(n_epochs + 1)
        ]

    @property
    def epoch(self) -> int:
        """Epochs so far."""
        return len(self.records)

    @property
    def diverged(self) -> bool:
        """Whether the last epoch left the finite numbers."""
        return bool(self.records) and self.records[-1].divergence is not None

    @property
    def over(self) -> bool:
        """Whether there is nothing more to train for now."""
        return self.epoch >= self.until or self.diverged

    @property
    def whole(self) -> bool:
        """Whether it is at its end."""
        return self.epoch >= self.end

    def common(self, other: Run) -> int:
        """Epochs from the start that two runs have in common."""
        n_epochs = min(len(self.keys), len(other.keys))
        return bisect(range(1, n_epochs), False, key=lambda epoch: self.keys[epoch] != other.keys[epoch])

    def next_told(self) -> int:
        """The epoch that is told next: of ``untold``, or the next one to be trained or tested."""
        if self.untold:
            return self.untold[0].record.epoch
        return self.epoch if self.whole and self.to_test else self.epoch + 1

    def ends_with(self, records: Sequence[EpochRecord]) -> bool:
        """Whether there is nothing to train or test after a prefix with these records."""
        return records[-1].divergence is not None or (len(records) >= self.until and not self.to_test)

    def take_up(self, records: Sequence[EpochRecord]) -> None:
        """Stand where a prefix ends; its epochs are shared, and told unless they were before."""
        self.records = []
        # what lies beyond and waits to be told is trained again, perhaps as another's lane, and told then
        if beyond := [told.record.epoch for told in self.untold if told.record.epoch > len(records)]:
            self._heard = min(self._heard, min(beyond) - 1)
            self.untold = deque(told for told in self.untold if told.record.epoch <= len(records))
        for record in records:
            self.add(record, shared=True)

    def add(self, record: EpochRecord, *, shared: bool) -> None:
        """Note one epoch more. A shared one that was told before is not told again; one trained again is."""
        self.records.append(record)
        self.foresee(self.records, self.keys)
        sent = not self.is_test and (not shared or record.epoch > self._heard)
        if sent or record.divergence is not None:
            self.untold.append(Told(record, shared, sent))
        self.restored = self.restored and shared
        self._heard = max(self._heard, record.epoch)

    def end_test(self, metrics: Mapping[str, float]) -> None:
        """Tell the last epoch with the ``test_*`` metrics."""
        last = self.records[-1]
        self.untold.append(Told(replace(last, metrics={**last.metrics, **metrics}), self.restored))
        self.to_test = False
