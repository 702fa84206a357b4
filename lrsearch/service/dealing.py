"""Who is handed which trials: those that share their beginning go to one worker, and nobody takes all.

Only the order of handing out is decided here. What a trial is depends on its number alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from ..store import Free, LeaseRow, Transaction
from ..study import Outcome, Study, Trial
from ..tasks.catalog import CATALOG
from .range_tests import RangeTests
from .studies import new_trial

AHEAD = 256
"""Trials drawn beyond those asked for, so that there is something to choose from, now and for the next worker."""
ROUNDING = 1.25
"""A worker may have this many times its share where that keeps a root whole."""
ENOUGH = 0.75
"""It is given part of a root where whole ones come to less than this much of its share."""


class Rank(IntEnum):
    """How gladly a worker is given a root's trials, the first first."""

    MINE = 0
    """It holds others of the root, whose beginning it has trained or is training."""
    LEFT_BY_ME = 1
    NOBODYS = 2
    LEFT_BY_OTHERS = 3
    OTHERS = 4
    """Somebody else trains its beginning now: only for a worker that would have nothing to do."""


@dataclass(frozen=True)
class Share:
    """How many trials a worker should hold of a study.

    Attributes:
        holds: how many it holds.
        fair: its part of all that are open, >= 1.
        wanted: how many more it has room for.
    """

    holds: int
    fair: int
    wanted: int

    @property
    def exact(self) -> int:
        """How many more it may have if roots are cut."""
        return max(0, min(self.wanted, self.fair - self.holds))

    @property
    def whole(self) -> int:
        """How many more it may have if that keeps a root whole; what exceeds its room is cut all the same."""
        return max(0, int(self.fair * ROUNDING) - self.holds)


def deal(free: Sequence[Free], ranks: Mapping[str, Rank], share: Share, first: Collection[int] = ()) -> list[int]:
    """The numbers of the trials that a worker is given next, at most ``share.wanted`` of them.

    Args:
        free: what may be handed out, by number.
        ranks: how the worker stands to each root; one that is missing is nobody's.
        share: how many it should have.
        first: numbers that it held before, which it gets back whatever its share.
    """
    again = [trial.number for trial in free if trial.number in first]
    extra = [trial.number for trial in free if trial.purpose != "trial" and trial.number not in first]
    chosen = [*again, *extra[: max(0, share.exact - len(again))]][: share.wanted]
    share = Share(share.holds + len(chosen), share.fair, share.wanted - len(chosen))
    groups: dict[str, list[int]] = {}
    for trial in free:
        if trial.purpose == "trial" and trial.number not in first:
            groups.setdefault(trial.root or f"alone {trial.number}", []).append(trial.number)
    ranked = sorted((ranks.get(root, Rank.NOBODYS), numbers[0], numbers) for root, numbers in groups.items())
    taken: list[int] = []
    left: list[list[int]] = []
    for rank, _, numbers in ranked:
        room = share.wanted - len(taken)
        if rank is Rank.OTHERS or room <= 0 or share.holds + len(taken) >= share.fair:
            left += [numbers] if rank is not Rank.OTHERS else []
        elif len(numbers) <= share.whole - len(taken):
            taken += numbers[:room]
        else:
            left.append(numbers)
    for numbers in left:
        if share.holds + len(taken) < ENOUGH * share.fair:
            taken += numbers[: max(0, share.exact - len(taken))]
    if not (taken or chosen or share.holds):
        taken = [number for rank, _, numbers in ranked if rank is Rank.OTHERS for number in numbers][: share.exact]
    return chosen + taken


class Dealing(RangeTests):
    """Choosing what a lease is given."""

    def _choose(
        self, tx: Transaction, row: LeaseRow, study: Study, free: Sequence[Free], wanted: int, *, first: Collection[int]
    ) -> list[int]:
        """The numbers of ``free`` that a lease is given."""
        if not free:
            return []
        ranks = {root: _rank(workers, row.worker) for root, workers in tx.trials.holders(study.name).items()}
        mine, held = tx.trials.share(study.name, row.lease)
        n_open = len(free) + held + self._n_undrawn(tx, study)
        if study.spec.window is None:
            n_open = -(-n_open // self._n_workers(tx, row, study))
        else:  # there is little to choose from, and nobody should wait for it
            ranks = {root: min(rank, Rank.LEFT_BY_OTHERS) for root, rank in ranks.items()}
        return deal(free, ranks, Share(mine, max(1, n_open), wanted), first)

    def _n_undrawn(self, tx: Transaction, study: Study) -> int:
        """How many more trials the budget allows."""
        budget = study.spec.budget
        most = budget.trials if budget.trials is not None else budget.epochs
        return 0 if most is None else max(0, most - len(self._history(tx, study)))

    def _n_workers(self, tx: Transaction, row: LeaseRow, study: Study) -> int:
        """How many workers could train the study's trials now, the one of lease ``row`` among them."""
        others = tx.leases.n_working(study.name, recipes=("", recipe_text(study)), besides=row.worker, now=tx.now())
        return 1 + sum(n for tasks, n in others if study.spec.task in (CATALOG if tasks is None else tasks))

    def _draw(self, tx: Transaction, study: Study, wanted: int, busy: Collection[str]) -> list[Trial]:
        """Draw up to ``wanted`` suggestions, to be handed out.

        The first that another worker trains for the study's comparison is the last: it has to wait.
        """
        warm = self._sampler(study)
        if warm.full == (tx.trials.next_number(study.name), study.spec.budget):
            return []
        history = list(warm.history(tx, study.name))
        drawn: list[Trial] = []
        while len(drawn) < wanted:
            number = len(history)
            if not self._more_to_suggest(tx, study, drawn=len(drawn)):
                warm.full = (number, study.spec.budget)
                break
            if (shown := self._shown(tx, study, history)) is None:
                break
            with self._suggesting():
                params = warm.suggester.suggest(number, shown)
            if params is None:
                break
            drawn.append(new_trial(study, number, params, warm.space.schedule(params), created_at=tx.now()))
            history.append(Outcome(number, "queued", None, params, "sampler"))
            if drawn[-1].plan_key in busy:
                break
        tx.trials.add(study.name, drawn)
        return drawn

    def _n_ahead(self, study: Study) -> int:
        """How many trials should be there to choose from: many where suggestions wait for nothing and may share.

        Budgets of epochs and hours end a study at any moment: what was drawn and never begun would be in the way.
        """
        budget = study.spec.budget
        free = study.spec.window is None and budget.epochs is None and budget.hours is None
        return AHEAD if free and not study.spec.external and self._sampler(study).space.n_cells is not None else 0


def recipe_text(study: Study) -> str:
    """The recipe that all trials of a study share, as leases keep it."""
    return json.dumps(study.spec.recipe(), sort_keys=True)


def _rank(workers: Sequence[tuple[str, bool]], worker: str) -> Rank:
    """How ``worker`` stands to a root, given who had trials of it, and whether they hold some now."""
    if any(held for name, held in workers if name == worker):
        return Rank.MINE
    if any(held for _, held in workers):
        return Rank.OTHERS
    if any(name == worker for name, _ in workers):
        return Rank.LEFT_BY_ME
    return Rank.LEFT_BY_OTHERS if workers else Rank.NOBODYS
