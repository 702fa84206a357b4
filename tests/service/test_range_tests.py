from __future__ import annotations

import numpy as np
import pytest

from lrsearch.errors import Conflict, InvalidInput, NotFound
from lrsearch.study import Point, RangeTestSpec, Report, ReportRequest, Result, SweepLosses

AUTO = {"family": "cosine", "initial_lr": "auto"}


@pytest.fixture
def wanted():
    return lambda **fields: RangeTestSpec.read({"name": "r", "task": "toy"} | fields)


def curve(assignment, best=0.01):
    """A bowl around ``best`` that explodes at a hundred times it."""
    sweep = assignment.sweep
    lr = np.geomspace(sweep.low, sweep.high, sweep.n_rates)
    loss = 2.3 - 1.8 / (1 + (best / lr) ** 1.5) + (lr / (100 * best)) ** 3
    return SweepLosses(lr=tuple(lr.tolist()), loss=tuple(loss.tolist()))


def told(assignment, result=None):
    result = result or Result(state="completed", sweep=curve(assignment))
    return Report(study=assignment.study, trial=assignment.trial, attempt=assignment.attempt, result=result)


def test_a_range_test_travels_by_a_lease(service, toy, wanted):
    toy().ask(hold=0)
    test, new = service.range_test(wanted(low=1e-5, high=1.0, train={"optimizer": "adam", "seed": 5}))
    assert (test.state, new, test.warnings) == ("queued", True, ())
    assert test.spec.train.batch_size == 16
    worker = toy()
    (assignment,) = worker.ask(hold=8)
    assert (assignment.purpose, assignment.seeds, assignment.recipe["task"]) == ("range_test", (5,), "toy")
    assert (assignment.sweep.low, assignment.sweep.high) == (1e-5, 1.0)
    assert service.range_test_named("r").state == "running"
    assert worker.say().assignments == (assignment,)
    worker.say(told(assignment))
    done = service.range_test_named("r")
    assert (done.state, done.worker, done.attempts) == ("completed", "w1", 1)
    assert 0.005 < done.result.suggested < 0.3
    assert worker.say().assignments == ()


def test_nothing_else_goes_with_it_and_trials_follow(service, toy, wanted, spec):
    toy().ask(hold=0)
    service.create(spec())
    service.range_test(wanted())
    worker = toy()
    assert [a.purpose for a in worker.ask(hold=4)] == ["range_test"]
    other = toy("w2")
    assert {a.purpose for a in other.ask(hold=1)} == {"trial"}
    answer = worker.say(told(worker.held.pop()), hold=2)
    assert {a.purpose for a in answer.assignments} == {"trial"}


def test_auto_becomes_the_range_that_was_found(service, toy, spec):
    toy().ask(hold=0)
    study, _ = service.create(spec(space=AUTO))
    assert study.state == "queued"
    assert "range test" in study.warnings[0]
    worker = toy()
    (assignment,) = worker.ask(study="s")
    assert assignment.purpose == "range_test"
    assert toy("w2").ask(study="s") == []
    worker.say(told(assignment), hold=0)
    study = service.study("s")
    test = service.range_test_named("s.range")
    found = study.spec.space.declarations["initial_lr"]
    assert found == test.result.initial_lr.model_copy(update={"source": "range test s.range"})
    assert (test.study, study.warnings) == ("s", ())
    assert toy().work() >= 4
    assert service.study("s").state == "completed"
    assert all(found.low <= t.schedule.initial_lr <= found.high for t in service.trials("s").items)
    again, new = service.create(spec(space=AUTO))
    assert (again.name, new) == ("s", False)
    assert len(service.range_tests().items) == 1


def test_auto_of_a_task_nobody_has_offered_yet(service, toy, spec):
    study, _ = service.create(spec(space=AUTO))
    assert study.state == "queued"
    worker = toy()
    (assignment,) = worker.ask()
    worker.say(told(assignment), hold=0)
    assert service.study("s").spec.space.declarations["initial_lr"].source == "range test s.range"


@pytest.mark.parametrize("how", ["failed", "flat"])
def test_a_study_fails_with_its_range_test(service, toy, spec, how):
    toy().ask(hold=0)
    service.create(spec(space=AUTO))
    worker = toy()
    (assignment,) = worker.ask()
    flat = SweepLosses(lr=(0.1, 0.2, 0.3), loss=(2.0, 2.0, 2.0))
    results = {"failed": Result(state="failed", error="no GPU"), "flat": Result(state="completed", sweep=flat)}
    worker.say(told(assignment, results[how]))
    study = service.study("s")
    assert study.state == "failed"
    assert ("no GPU" if how == "failed" else "never fell") in study.error


def test_a_lost_worker_is_replaced_and_fenced(service, toy, wanted):
    toy().ask(hold=0)
    service.range_test(wanted())
    first, second = toy("w1"), toy("w2")
    (old,) = first.ask()
    service.release(first.lease.lease)
    (new,) = second.ask()
    assert (old.attempt, new.attempt) == (1, 2)
    stale = told(old)
    answer = second.say(stale)
    assert [item.reason for item in answer.rejected] == ["lost: the range test is at attempt 2"]
    with pytest.raises(Conflict):
        service.report(first.lease.lease, ReportRequest(reports=(stale,)))
    second.say(told(new))
    assert service.range_test_named("r").state == "completed"


def test_workers_that_get_lost_too_often_fail_it(service, toy, wanted, settings):
    toy().ask(hold=0)
    service.range_test(wanted())
    worker = toy()
    for _ in range(settings.max_lost):
        assert worker.ask()[0].purpose == "range_test"
        with service._writing() as tx:
            for row in tx.leases.of_worker("w1"):
                service._let_go_range_test(tx, row, lost=True)
    test = service.range_test_named("r")
    assert (test.state, test.attempts) == ("failed", settings.max_lost)
    assert "lost 5 times" in test.error


def test_ending_its_study_ends_it(service, toy, spec):
    toy().ask(hold=0)
    service.create(spec(space=AUTO))
    worker = toy()
    worker.ask()
    service.cancel("s")
    (directive,) = worker.say().directives
    assert (directive.study, directive.do, directive.why) == ("s.range", "stop", "cancelled")
    assert service.range_test_named("s.range").state == "cancelled"
    service.delete("s")
    with pytest.raises(NotFound):
        service.range_test_named("s.range")


def test_names_keys_and_listing(service, toy, wanted):
    toy().ask(hold=0)
    first, _ = service.range_test(wanted(), key="k")
    assert service.range_test(wanted(), key="k") == (first, True)
    assert service.range_test(wanted()) == (first, False)
    with pytest.raises(Conflict, match="low"):
        service.range_test(wanted(low=1e-3))
    names = [service.range_test(wanted(name=None))[0].name for _ in range(3)]
    assert names == ["range-toy-1", "range-toy-2", "range-toy-3"]
    page = service.range_tests(limit=2)
    rest = service.range_tests(limit=2, cursor=page.next)
    assert [test.name for test in (*page.items, *rest.items)] == [*names[::-1], "r"]
    with pytest.raises(InvalidInput, match="depth"):
        service.range_test(wanted(name="other", options={"depth": 1}))


def test_auto_is_refused_where_nobody_can_test(spec):
    with pytest.raises(InvalidInput, match="range_test"):
        spec(task="external", space=AUTO, objective={"metric": "m", "direction": "minimize"})


def test_points_of_a_range_test_change_nothing(service, toy, wanted):
    toy().ask(hold=0)
    service.range_test(wanted())
    worker = toy()
    (a,) = worker.ask()
    point = Point(epoch=1, seed=0, metrics={"val_loss": 1.0})
    worker.say(Report(study=a.study, trial=0, attempt=1, points=(point,)))
    assert service.range_test_named("r").state == "running"
