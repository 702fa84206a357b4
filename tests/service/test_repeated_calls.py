"""The same call once more, as after a lost answer: one effect, and an answer that fits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lrsearch.errors import Conflict
from lrsearch.study import ComparisonSpec, Point, RangeTestSpec, Report, Result, TrialRequest

from ..clock import Clock

RANDOM = {"sampler": "random", "budget": {"trials": 6}}
DAY = timedelta(days=1).total_seconds()


def study(service, spec, key, other):
    return service.create(spec(name=None, epochs=4 if other else 3), key=key)[0].name


def trial(service, spec, key, other):
    service.create(spec())
    return service.add_trial("s", TrialRequest(params={"initial_lr": 0.2 if other else 0.1}), key=key).number


def comparison(service, spec, key, other):
    arms = [{"name": "a", "sampler": "random"}, {"name": "b", "sampler": "tpe"}]
    its = spec(name=None).model_dump(exclude_unset=True)
    asked = ComparisonSpec.read({"spec": its, "arms": arms, "repeats": 3 if other else 2})
    return service.compare(asked, key=key)[0].name


def range_test(service, spec, key, other):
    return service.range_test(RangeTestSpec.read({"task": "toy", "high": 2.0 if other else 1.0}), key=key)[0].name


CREATING = (study, trial, comparison, range_test)


@pytest.fixture(params=CREATING, ids=lambda call: call.__name__)
def create(request, service, spec, toy):
    toy().ask(hold=0)
    return lambda key, other=False: request.param(service, spec, key, other)


def test_a_key_has_one_effect(create):
    first = create("k")
    assert create("k") == first
    assert create("another") != first
    assert create(None) != first


def test_a_key_with_another_body_is_refused_and_changes_nothing(create):
    first = create("k")
    with pytest.raises(Conflict, match="Idempotency-Key"):
        create("k", other=True)
    assert create("k") == first


def test_a_key_is_forgotten_after_a_day(create, monkeypatch):
    clock = Clock(monkeypatch)
    first = create("k")
    clock.forward(DAY - 60)
    assert create("k") == first
    clock.forward(120)
    create("another")
    assert create("k") != first


def test_a_key_whose_call_was_undone_is_free(create, service, monkeypatch):
    """Key and effect are one transaction: what breaks after both were written undoes both."""
    from lrsearch.service import Service

    def broken(tx, answer, key, owner, request):
        Service._answer(tx, answer, key, owner, request)
        raise OSError("the line is cut")

    monkeypatch.setattr(service, "_answer", broken)
    with pytest.raises(OSError, match="cut"):
        create("k")
    monkeypatch.undo()
    assert create("k") == create("k")


def test_the_stop_of_a_trial_that_ended_early_is_repeated(service, toy, spec):
    service.create(spec(**RANDOM, epochs=5, stop={"patience": 1, "min_delta": 10.0}))
    worker = toy()
    (assignment,) = worker.ask()
    report = worker.told(assignment, upto=3)
    first = worker.say(report)
    assert [(it.trial, it.do) for it in first.directives] == [(0, "stop")]
    again = worker.say(report)
    assert again.directives == first.directives
    assert again.rejected == ()
    assert len(service.curve("s", 0)) == service.trial("s", 0).stopped_at


@pytest.mark.parametrize("metrics", [{"val_loss": float("nan")}, {"val_accuracy": 0.5}])
def test_a_completion_that_was_taken_for_something_else_is_not_refused_when_repeated(service, toy, spec, metrics):
    service.create(spec(**RANDOM, epochs=1))
    worker = toy()
    worker.ask()
    done = Result(state="completed")
    report = Report(study="s", trial=0, attempt=1, points=(Point(epoch=1, metrics=metrics),), result=done)
    assert worker.say(report).rejected == ()
    before = service.trial("s", 0)
    assert before.state in ("diverged", "failed")
    assert worker.say(report).rejected == ()
    assert service.trial("s", 0) == before


def test_points_are_kept_once_by_attempt_seed_and_epoch(service, toy, spec):
    service.create(spec(sampler="random", budget={"trials": 1}, train={"seeds": 2}))
    worker = toy()
    (assignment,) = worker.ask()
    for upto in (1, 1, 2, 1, 2):
        worker.say(worker.told(assignment, upto=upto))
    assert [(point.seed, point.epoch) for point in service.curve("s", 0)] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    epochs = service.trial("s", 0).epochs
    assert (epochs.trained, epochs.repeated) == (4, 0)


def test_pausing_resuming_and_cancelling_twice_is_the_same_as_once(service, toy, spec):
    service.create(spec(**RANDOM))
    for begun in (False, True):
        if begun:
            toy().ask()
        for verb, state in ((service.pause, "paused"), (service.resume, "running" if begun else "queued")):
            assert [verb("s").state for _ in range(2)] == [state] * 2
    assert [service.cancel_trial("s", 0).state for _ in range(2)] == ["cancelled"] * 2
    assert [service.cancel("s").state for _ in range(2)] == ["cancelled"] * 2
