"""What an earlier process left on disk, sent before anything else."""

from __future__ import annotations

import logging

from ..errors import Conflict, InvalidInput, NotFound
from ..leasing import LeaseVerbs
from ..study import Report, ReportAnswer, ReportRequest
from .outbox import batch
from .patience import Patience
from .spool import Kept, Spool

log = logging.getLogger("lrsearch.external")


def send_left(verbs: LeaseVerbs, spool: Spool, worker: str, patience: Patience) -> None:
    """Send what is left, under the lease it was measured under; what came too late is thrown away.

    Sending it twice is the same as once: points are told apart by (trial, attempt, seed, epoch).
    """
    for path, kept in spool.left(worker):
        try:
            _send(verbs, spool.study, kept, patience)
        except (Conflict, NotFound, InvalidInput) as error:
            log.warning("what an earlier process left of trial %d came too late: %s", kept.holder.trial, error)
        else:
            log.warning("sent what an earlier process left of trial %d", kept.holder.trial)
        path.unlink(missing_ok=True)


def _send(verbs: LeaseVerbs, study: str, kept: Kept, patience: Patience) -> None:
    holder, points, result = kept.holder, list(kept.points), kept.result

    def send(report: Report) -> ReportAnswer:
        return verbs.report(holder.lease, ReportRequest(hold=0, reports=(report,)))

    while points or result is not None:
        some, its_result = batch(points, result)
        report = Report(study=study, trial=holder.trial, attempt=holder.attempt, points=tuple(some), result=its_result)
        answer = patience.until_answered(lambda report=report: send(report))  # type: ignore[misc]
        if answer.rejected:
            raise Conflict(answer.rejected[0].reason)
        del points[: len(some)]
        result = None if its_result is not None else result
