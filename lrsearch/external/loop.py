"""The loop over an external study's trials."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from ..errors import InvalidInput
from ..leasing import LeaseVerbs, worker_name
from ..study import Study
from .asker import Asker
from .line import Lines, OwnLines
from .patience import Patience
from .ranks import Broadcast, Follower, Leader, ranks_of
from .spool import Spool
from .trial import LiveTrial

PATIENCE_SECONDS = 600.0
"""How long a loop waits for a service that is away, where it has nothing to train meanwhile."""


class TrialVerbs(LeaseVerbs, Protocol):
    """The lease verbs, and a look at the study."""

    def study(self, name: str) -> Study:
        """One study."""


def trials(
    verbs: TrialVerbs,
    study: str,
    *,
    worker: str | None = None,
    spool: Spool | None = None,
    patience: float = PATIENCE_SECONDS,
    rank: int | None = None,
    world: int | None = None,
    broadcast: Broadcast | None = None,
) -> Iterator[LiveTrial]:
    """The trials of an external study, one after the other, until the study is over::

        for trial in trials(verbs, "my-study"):
            with trial:
                train(trial)

    Without the ``with``, the next turn of the loop completes the trial. While other processes hold what is left of
    the study, it waits. Leaving the loop early hands the trial back, unless all its epochs were reported.

    Args:
        verbs: the service in this process, or a client.
        study: the study's name; its task is ``external``.
        worker: this process's id among the workers; by default one of its own.
        spool: where reports are kept on disk while the service is away; None = in memory alone.
        patience: seconds to wait for a service that is away, where there is nothing to train meanwhile, >= 0.
        rank: which of the processes that train each trial together this is; by default as ``torch.distributed`` says
            where it is initialised.
        world: how many there are; 1 = this process alone, whatever ``torch.distributed`` says.
        broadcast: called by all of them in step, with an object on rank 0 and None elsewhere; answers rank 0's object
            everywhere. By default ``torch.distributed``'s.

    Raises:
        NotFound: there is no such study.
        InvalidInput: the study's task is trained by workers, not by your own loop; or ``rank``, ``world`` and
            ``broadcast`` do not go together.
    """

    def lead() -> Asker:
        if not verbs.study(study).spec.external:
            raise InvalidInput(
                f"the task of `{study}` is trained by workers; only `task: external` is trained by a loop"
            )
        name = worker or worker_name(f"-{threading.get_ident() % 100_000}")
        return Asker(verbs, study, name, spool, Patience(patience))

    ranks = ranks_of(rank, world, broadcast)
    if ranks is None:
        return _trials(OwnLines(lead()))
    return _trials(Leader(ranks, lead) if ranks.rank == 0 else Follower(ranks, verbs))


def _trials(lines: Lines) -> Iterator[LiveTrial]:
    trial: LiveTrial | None = None
    try:
        while (found := lines.next()) is not None:
            trial = LiveTrial(*found)
            yield trial
            trial.complete()
    except GeneratorExit:
        if trial is not None:
            trial.part()
        raise
    finally:
        lines.close()
