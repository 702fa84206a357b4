"""Ranks: several processes that train each trial together. Rank 0 talks to the service, the others hear it there."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, SupportsFloat

from ..errors import Conflict, InvalidInput, LrsearchError
from ..leasing import LeaseVerbs, in_words
from ..study import Assignment, Report, ReportRequest, Result
from .asker import Asker
from .line import Line, OwnLines

log = logging.getLogger("lrsearch.external")

Broadcast = Callable[[Any], Any]
"""Called by all ranks in step: with an object on rank 0, None elsewhere; answers rank 0's object everywhere."""
NEXT = "the next trial"
LONGEST_TRIAL = timedelta(days=7)
"""How long a rank waits for what rank 0 says; one whose process ended is noticed at once."""


@dataclass(frozen=True)
class Ranks:
    """One process among those that train together.

    Attributes:
        rank: its number, 0 <= rank < world.
        world: how many there are, > 1.
        broadcast: how rank 0 speaks to the others.
        close: called when nothing more is said.
    """

    rank: int
    world: int
    broadcast: Broadcast
    close: Callable[[], None] = lambda: None


def ranks_of(rank: int | None, world: int | None, broadcast: Broadcast | None) -> Ranks | None:
    """The rank of this process, as told or as ``torch.distributed`` knows; None where it trains alone.

    Raises:
        InvalidInput: what is told does not go together.
    """
    if world == 1 and rank in (None, 0):
        return None
    torch: Any = sys.modules.get("torch.distributed")  # where it is initialised it is imported
    initialised = torch is not None and torch.is_available() and torch.is_initialized()
    if rank is None and world is None and broadcast is None:
        if not initialised or torch.get_world_size() == 1:
            return None
        rank, world = torch.get_rank(), torch.get_world_size()
    if rank is None or world is None or not 0 <= rank < world:
        raise InvalidInput(f"`rank` and `world` go together, 0 <= rank < world (got {rank} and {world})", field="rank")
    if broadcast is not None:
        return Ranks(rank, world, broadcast)
    if not initialised:
        raise InvalidInput(
            "several processes need `broadcast`, a function that gives every rank what rank 0 gives it; it may be left "
            "out where torch.distributed is initialised",
            field="broadcast",
        )
    return _of_torch(torch, rank, world)


def _of_torch(torch: Any, rank: int, world: int) -> Ranks:
    """A group of its own, so that nothing that is said here meets what the training says."""
    group = torch.new_group(backend="gloo", timeout=LONGEST_TRIAL)

    def broadcast(said: Any) -> Any:
        box = [said]
        torch.broadcast_object_list(box, src=0, group=group)
        return box[0]

    def close() -> None:
        with contextlib.suppress(Exception):  # the training may have taken all groups down already
            torch.destroy_process_group(group)

    return Ranks(rank, world, broadcast, close)


class _Step:
    """What both sides know: whether the ranks are still in step."""

    def __init__(self) -> None:
        self._failed: int | None = None

    def require(self) -> None:
        """Raises Conflict after a trial failed: nobody knows where the other ranks are."""
        if self._failed is not None:
            raise Conflict(
                f"trial {self._failed} failed in this process, and the ranks are out of step: start all of them again"
            )

    def lose(self, trial: int) -> None:
        """A trial failed here."""
        self._failed = trial


class Leader:
    """Rank 0: asks, reports, and says what it heard."""

    def __init__(self, ranks: Ranks, ask: Callable[[], Asker]) -> None:
        self.ranks = ranks
        self.step = _Step()
        with self.said():
            self._asker = ask()
        self._lines = OwnLines(self._asker)
        ranks.broadcast({"at": "the beginning"})

    def next(self) -> tuple[Assignment, Line] | None:
        """The next trial; None when the study is over."""
        self.step.require()
        with self.said():
            found = self._lines.next()
        if found is None:
            self.ranks.broadcast({"at": NEXT, "trial": None})
            return None
        assignment, line = found
        told = assignment.model_dump_json(exclude_unset=True)
        self.ranks.broadcast({"at": NEXT, "trial": told, "lease": self._asker.lease})
        return assignment, LeadingLine(self, line, assignment.trial)

    def close(self) -> None:
        """Hand back what is held."""
        self._lines.close()
        self.ranks.close()

    @contextlib.contextmanager
    def said(self) -> Iterator[None]:
        """An error of this rank is one of all."""
        try:
            yield
        except Exception as error:
            self.ranks.broadcast({"at": "an error", "error": in_words(error)})
            raise


class LeadingLine:
    """Rank 0's line: the service's, and every answer said to the others."""

    rank = 0

    def __init__(self, leader: Leader, line: Line, number: int) -> None:
        self.world = leader.ranks.world
        self.unwanted = False
        self._leader = leader
        self._line = line
        self._number = number

    def report(self, epoch: int, metrics: Mapping[str, SupportsFloat]) -> dict[str, float]:
        """Report, then say the metrics and whether to stop."""
        with self._leader.said():
            values = self._line.report(epoch, metrics)
        self.unwanted = self._line.unwanted
        self._leader.ranks.broadcast({"at": place(self._number, epoch), "metrics": values, "stop": self.unwanted})
        return values

    def end(self, result: Result) -> None:
        """Send the result; after a failure the loop is over."""
        if result.state == "failed":
            self._leader.step.lose(self._number)
        self._line.end(result)

    def part(self, finished: bool) -> None:
        """Complete it, if it is ``finished``."""
        self._line.part(finished)

    def hand_back(self) -> None:
        """Give it up."""
        self._line.hand_back()


class Follower:
    """Another rank: hears what rank 0 says."""

    def __init__(self, ranks: Ranks, verbs: LeaseVerbs) -> None:
        self._ranks = ranks
        self._verbs = verbs
        self._step = _Step()
        hear(ranks, "the beginning")

    def next(self) -> tuple[Assignment, Line] | None:
        """The trial that rank 0 was given; None when the study is over."""
        self._step.require()
        heard = hear(self._ranks, NEXT)
        if heard["trial"] is None:
            return None
        assignment = Assignment.model_validate_json(heard["trial"])
        return assignment, FollowingLine(self._ranks, self._step, self._verbs, heard["lease"], assignment)

    def close(self) -> None:
        """Nothing more is heard."""
        self._ranks.close()


class FollowingLine:
    """Another rank's line: silent, but where this rank alone knows why the trial fails."""

    def __init__(self, ranks: Ranks, step: _Step, verbs: LeaseVerbs, lease: str, assignment: Assignment) -> None:
        self.rank, self.world = ranks.rank, ranks.world
        self.unwanted = False
        self._ranks = ranks
        self._step = step
        self._verbs = verbs
        self._lease = lease
        self._key = assignment.key

    def report(self, epoch: int, metrics: Mapping[str, SupportsFloat]) -> dict[str, float]:
        """Hear rank 0's metrics of the epoch, and whether to stop."""
        heard = hear(self._ranks, place(self._key.trial, epoch))
        self.unwanted = heard["stop"]
        return dict(heard["metrics"])

    def end(self, result: Result) -> None:
        """Tell the service of a failure: rank 0 may never hear of it but by a connection that is closed."""
        if result.state != "failed":
            return
        self._step.lose(self._key.trial)
        told = result.model_copy(update={"error": f"rank {self.rank}: {result.error}"[:2000]})
        report = Report(study=self._key.study, trial=self._key.trial, attempt=self._key.attempt, result=told)
        try:
            self._verbs.report(self._lease, ReportRequest(hold=0, reports=(report,)))
        except LrsearchError as error:
            log.warning("the service was not told that trial %d failed: %s", self._key.trial, error)

    def part(self, finished: bool) -> None:
        """Rank 0 does it."""

    def hand_back(self) -> None:
        """Rank 0 does it."""


def place(trial: int, epoch: int) -> str:
    """Where a rank is while it reports."""
    return f"epoch {epoch} of trial {trial}"


def hear(ranks: Ranks, at: str) -> dict[str, Any]:
    """What rank 0 says.

    Raises:
        LrsearchError: rank 0 met an error.
        Conflict: rank 0 is elsewhere.
    """
    heard: dict[str, Any] = ranks.broadcast(None)
    if "error" in heard:
        raise LrsearchError(f"rank 0: {heard['error']}")
    if heard["at"] != at:
        raise Conflict(
            f"the ranks are out of step: rank {ranks.rank} is at {at}, rank 0 at {heard['at']}; every rank calls "
            "`report` once an epoch, and leaves the block with the others"
        )
    return heard
