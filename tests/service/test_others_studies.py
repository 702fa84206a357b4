"""What a lease of one's own does not open."""

from __future__ import annotations

from lrsearch.service import Caller, calling
from lrsearch.study import LeaseRequest, Report, ReportRequest


def test_a_lease_of_ones_own_study_says_nothing_of_others(service, toy, spec):
    """Nor may it: times, notes and weights of a study come from those alone who may train it."""
    service.create(spec(budget={"trials": 1}))
    toy().work()
    objective = {"metric": "score", "direction": "maximize"}
    service.create(spec(name="own", task="external", objective=objective), owner="bob")
    weights = {"state": "completed", "checkpoint": {"keys": ["0" * 32]}}
    said = {"update_seconds": 1e-9, "note": "buy my curves", "result": weights}
    report = Report.model_validate({"study": "s", "trial": 0, "attempt": 1} | said)
    before = service.study("s"), service.trial("s", 0)
    with calling(Caller(name="bob", scopes=("write",))):
        lease = service.lease(LeaseRequest(worker="bobs", hold=1, study="own"), owner="bob")
        answer = service.report(lease.lease, ReportRequest(reports=(report,)))
    assert [(it.study, it.trial) for it in answer.rejected] == [("s", 0)]
    assert "somebody else's" in answer.rejected[0].reason
    assert (service.study("s"), service.trial("s", 0)) == before
