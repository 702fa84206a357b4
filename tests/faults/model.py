"""A plain model of leases: who holds what, what was lost, what ended. Time in ticks, a quarter of a lease and a bit."""

from __future__ import annotations

from dataclasses import dataclass, field

LEASE = 60.0
TICK = 16.0
"""The service looks for silent workers once a tick."""
LEASE_TICKS = 4
"""A lease is over after so many ticks of silence (4 x 16 > 60), and not before."""
SOON_TICKS = 3
"""A worker that was last heard at most so many ticks after it got a trial had just got it (3 x 16 < 60)."""
EPOCHS = 4
MAX_LOST, MAX_KILLED = 5, 2
ENDED = {"completed", "diverged", "failed", "pruned", "cancelled"}


@dataclass
class TrialModel:
    """One trial that has begun."""

    state: str = "queued"
    holder: str | None = None
    attempts: int = 0
    heard: int = 0
    epochs: int = 0
    lost: int = 0
    killed: int = 0
    handed_at: int = 0
    told: bool = True
    """Whether its holder knows how it ended."""


@dataclass
class Holder:
    """A lease that has not ended."""

    worker: str
    heard_at: int


@dataclass
class Model:
    """What the service should believe."""

    now: int = 0
    since: int | None = None
    leases: dict[str, Holder] = field(default_factory=dict)
    trials: dict[tuple[str, int], TrialModel] = field(default_factory=dict)
    studies: dict[str, str] = field(default_factory=dict)

    def held(self, lease: str) -> dict[tuple[str, int], TrialModel]:
        """What a lease holds."""
        return {where: trial for where, trial in self.trials.items() if trial.holder == lease}

    def look(self) -> None:
        """The service looks for silent workers."""
        if self.since is not None and self.now - self.since < LEASE_TICKS:
            return
        for lease, its in list(self.leases.items()):
            if self.now - its.heard_at >= LEASE_TICKS:
                self.end(lease, lost=lambda trial: True)

    def take_over(self, worker: str) -> None:
        """A worker asks for a new lease."""
        for lease, its in list(self.leases.items()):
            if its.worker == worker:
                begun_anew = self.now - max(its.heard_at, self.since or 0) > 0
                self.end(lease, lost=lambda trial, anew=begun_anew: anew or trial.heard == trial.attempts)

    def end(self, lease, lost=lambda trial: False) -> None:
        """A lease ends: what it held is queued, and counted as lost where it was."""
        its = self.leases.pop(lease)
        held = self.held(lease)
        at_work = [trial for trial in held.values() if trial.state == "running"]
        audible = self.since is None or its.heard_at >= self.since
        for trial in held.values():
            trial.holder, trial.told = None, True
        for trial in at_work:
            trial.state = "queued"
            if lost(trial) and audible:
                trial.lost += 1
                trial.killed += len(at_work) == 1 and its.heard_at - trial.handed_at <= SOON_TICKS
                if trial.lost >= MAX_LOST or trial.killed >= MAX_KILLED:
                    trial.state = "failed"
