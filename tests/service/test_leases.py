from __future__ import annotations

import time

import pytest

from lrsearch.errors import Conflict, InvalidInput, NotFound
from lrsearch.service import Service, Settings
from lrsearch.study import LeaseRequest, Point, Report, ReportRequest, Result, TrialRequest

RANDOM = {"sampler": "random", "budget": {"trials": 6}}


def test_hold_is_topped_up_and_repeating_does_no_harm(service, toy, spec):
    service.create(spec(**RANDOM))
    worker = toy()
    first = worker.ask(hold=2)
    assert [a.trial for a in first] == [0, 1]
    answer = worker.say(hold=3)
    assert [a.trial for a in answer.assignments] == [0, 1, 2]
    worker.say(worker.told(first[0], upto=1))
    assert [a.trial for a in worker.say().assignments] == [1, 2]


def test_a_new_lease_of_a_worker_takes_its_trials_over(service, toy, spec):
    service.create(spec(**RANDOM))
    worker, old = toy(), toy()
    (before,) = worker.ask()
    old.lease, old.held = worker.lease, [before]
    worker.say(worker.told(before, upto=2))
    (after,) = worker.ask()
    assert (after.trial, after.attempt, after.reported) == (before.trial, 2, 2)
    with pytest.raises(Conflict):
        old.say()


def test_a_stale_report_is_refused_alone(service, toy, spec):
    service.create(spec(**RANDOM))
    one, two = toy("a"), toy("b")
    one.ask(hold=2)
    mine, other = one.held
    service.release(one.lease.lease)
    one.lease = None
    (taken,) = two.ask()
    assert taken.trial == mine.trial
    one.ask()
    stale = one.told(mine)
    answer = one.say(stale, one.told(one.held[0]))
    assert [(r.trial, r.attempt) for r in answer.rejected] == [(mine.trial, 1)]
    assert "lost" in answer.rejected[0].reason
    assert service.trial("s", one.held[0].trial).state == "completed"
    assert service.trial("s", mine.trial).state == "running"
    assert other.trial == one.held[0].trial


def test_unknown_and_ended_leases(service, toy, spec):
    with pytest.raises(NotFound):
        service.report("nonsense", ReportRequest())
    with pytest.raises(NotFound):
        service.release("nonsense")
    worker = toy()
    worker.ask()
    service.release(worker.lease.lease)
    service.release(worker.lease.lease)
    with pytest.raises(Conflict):
        worker.say()


def test_completing_twice_is_once(service, toy, spec):
    service.create(spec(**RANDOM))
    worker = toy()
    (assignment,) = worker.ask()
    report = worker.told(assignment)
    worker.say(report)
    before = service.trial("s", 0)
    answer = worker.say(report)
    assert answer.rejected == ()
    assert service.trial("s", 0) == before
    assert before.epochs.trained == 3


def test_silence_hands_trials_to_others_and_too_much_of_it_fails_them(store, toy, spec):
    service = Service(store, Settings(lease_seconds=0.05, max_lost=3, poison_seconds=0))
    service.create(spec(sampler="random", budget={"trials": 1}))
    for attempt in (1, 2, 3):
        worker = toy(f"w{attempt}")
        worker.service = service
        (assignment,) = worker.ask()
        assert assignment.attempt == attempt
        time.sleep(0.1)
    service.reap()
    trial = service.trial("s", 0)
    assert trial.state == "failed"
    assert "lost 3 times" in trial.error
    assert service.study("s").state == "failed"


def test_repeated_epochs_are_counted(service, toy, spec):
    service.create(spec(sampler="random", budget={"trials": 1}))
    worker = toy()
    (first,) = worker.ask()
    worker.say(worker.told(first, upto=2))
    (second,) = worker.ask()
    points = worker.points(second, 1, 3)
    worker.say(Report(study="s", trial=0, attempt=2, points=points, result=Result(state="completed")))
    epochs = service.study("s").progress.epochs
    assert (epochs.asked, epochs.trained, epochs.repeated, epochs.shared) == (3, 5, 2, 0)


def test_the_cost_is_told_in_trainings_once_an_update_was_measured(service, toy, spec):
    service.create(spec(sampler="random", budget={"trials": 2}))
    worker = toy()
    first, second = worker.ask(hold=2)
    worker.say(worker.told(first))
    assert service.study("s").progress.cost_in_trainings is None
    slow, fast = 0.5, 0.001
    worker.say(worker.told(second, upto=1).model_copy(update={"update_seconds": fast}))
    worker.say(worker.told(second, upto=2).model_copy(update={"update_seconds": slow}))
    worker.say(worker.told(second))
    worker.work()
    study = service.study("s")
    assert study.state == "completed"
    updates = study.spec.updates or study.spec.epochs * study.updates_per_epoch
    assert study.progress.cost_in_trainings == pytest.approx(study.progress.seconds.elapsed / (updates * fast))


def test_all_assignments_of_a_lease_share_one_recipe(service, toy, spec):
    toy().ask(hold=0)
    service.create(spec(name="a", **RANDOM))
    service.create(spec(name="b", train={"batch_size": 8}, **RANDOM))
    assert {a.study for a in toy().ask(hold=12)} == {"a"}


def test_points_must_belong_to_the_trial(service, toy, spec):
    service.create(spec(**RANDOM))
    worker = toy()
    worker.ask()

    def point(**fields):
        return Report(study="s", trial=0, attempt=1, points=(Point(metrics={"val_loss": 1.0}, **fields),))

    for bad in (point(epoch=4), point(epoch=1, seed=9), point()):
        with pytest.raises(InvalidInput):
            worker.say(bad)
    assert "epoch 1" in worker.say(point(epoch=2)).rejected[0].reason
    assert service.curve("s", 0) == []
    done = Report(study="s", trial=0, attempt=1, result=Result(state="completed"))
    assert "not complete" in worker.say(done).rejected[0].reason
    assert service.trial("s", 0).state == "running"


def test_a_batch_with_a_bad_point_stores_nothing(service, toy, spec):
    service.create(spec(**RANDOM))
    worker = toy()
    good = worker.ask(hold=2)[0]
    bad = Report(study="s", trial=1, attempt=1, points=(Point(epoch=99, metrics={}),))
    with pytest.raises(InvalidInput):
        worker.say(worker.told(good), bad)
    assert service.trial("s", 0).state == "running"


def test_divergence_and_failure_end_trials(service, toy, spec):
    service.create(spec(**RANDOM, limits={"failures_in_a_row": 2}))
    worker = toy()
    worker.ask()
    assignment = worker.held.pop()
    diverged = Result.model_validate({"state": "diverged", "diverged_at": {"update": 5, "lr": 0.5}})
    worker.say(worker.told(assignment, upto=1, result=diverged))
    trial = service.trial("s", 0)
    assert (trial.state, trial.value, trial.diverged_at.update) == ("diverged", None, 5)
    for _ in range(2):
        assignment = worker.held.pop()
        worker.say(worker.told(assignment, upto=1, result=Result(state="failed", error="boom")))
    study = service.study("s")
    assert study.state == "failed"
    assert "boom" in study.error
    assert worker.held == []


def test_a_metric_that_is_never_reported_fails_the_trial(service, toy, spec):
    service.create(spec(**RANDOM, objective={"metric": "val_accuracy"}))
    worker = toy()
    worker.ask()
    worker.finish()
    assert "val_accuracy" in service.trial("s", 0).error


def test_not_finite_objective_is_a_divergence(service, toy, spec):
    service.create(spec(**RANDOM, epochs=1))
    worker = toy()
    worker.ask()
    point = Point(epoch=1, metrics={"val_loss": float("nan")})
    worker.say(Report(study="s", trial=0, attempt=1, points=(point,), result=Result(state="completed")))
    assert service.trial("s", 0).state == "diverged"
    assert service.curve("s", 0)[0].metrics == {"val_loss": None}


def test_cancelling_one_trial_tells_its_worker(service, toy, spec):
    service.create(spec(**RANDOM))
    worker = toy()
    worker.ask()
    service.cancel_trial("s", 0)
    assert [(d.trial, d.do) for d in worker.say().directives] == [(0, "stop")]
    worker.work()
    with pytest.raises(Conflict):
        service.cancel_trial("s", 1)


def test_external_studies_are_handed_out_by_name_only(service, toy, spec):
    fields = {"task": "external", "objective": {"metric": "score", "direction": "maximize"}}
    service.create(spec(**fields))
    assert toy().ask() == []
    lease = service.lease(LeaseRequest(worker="me", hold=1, study="s"))
    (assignment,) = lease.assignments
    assert lease.study_state == "running"
    assert assignment.recipe == {"task": "external", "options": {}}
    result = Result(state="completed", value=0.6)
    service.report(lease.lease, ReportRequest(reports=(Report(study="s", trial=0, attempt=1, result=result),)))
    assert service.trial("s", 0).value == 0.6


def test_workers_are_listed(service, toy, spec):
    service.create(spec(**RANDOM))
    toy("a").ask()
    toy("b").ask(hold=0)
    workers = {worker.worker: worker for worker in service.workers()}
    assert workers["a"].state == "busy"
    assert workers["a"].holds == ("s/0",)
    assert workers["b"].state == "idle"


def test_seeds_count_an_epoch_when_all_have_reported(service, toy, spec):
    service.create(spec(sampler="random", budget={"trials": 1}, train={"seeds": 2}))
    worker = toy()
    (assignment,) = worker.ask()
    assert assignment.seeds == (0, 1)
    points = worker.points(assignment, 1, 2)[:-1]
    worker.say(Report(study="s", trial=0, attempt=1, points=points))
    (again,) = worker.ask()
    assert again.reported == 1
    worker.held = [again]
    worker.finish()
    trial = service.trial("s", 0)
    assert trial.value == pytest.approx(sum(trial.values) / 2)
    assert len(trial.values) == 2


def test_horizons_in_updates_report_updates(service, toy, spec):
    toy().ask(hold=0)
    service.create(spec(epochs=None, updates=25, eval_every=10, **RANDOM))
    worker = toy()
    (assignment,) = worker.ask()
    assert assignment.until_epoch == 3

    def at(update):
        return Point(update=update, metrics={"val_loss": 1.0})

    with pytest.raises(InvalidInput):
        worker.say(Report(study="s", trial=0, attempt=1, points=(at(7),)))
    done = Result(state="completed")
    worker.say(Report(study="s", trial=0, attempt=1, points=(at(10), at(20), at(25)), result=done))
    assert service.trial("s", 0).state == "completed"
    assert [(p.epoch, p.update) for p in service.curve("s", 0)] == [(1, 10), (2, 20), (3, 25)]


def test_a_trial_can_be_added_to_a_running_study(service, toy, spec):
    service.create(spec(**RANDOM))
    worker = toy()
    worker.ask()
    service.add_trial("s", TrialRequest(params={"initial_lr": 0.5}))
    worker.finish()
    assert worker.held[0].params == {"initial_lr": 0.5}


def test_what_is_handed_back_is_not_lost(service, toy, spec):
    service.create(spec(sampler="random", budget={"trials": 1}))
    worker = toy()
    for _ in range(8):
        worker.ask()  # the same call again
    for _ in range(8):
        worker.ask()
        service.release(worker.lease.lease)
    assert service.trial("s", 0).state == "queued"
    worker.work()
    assert service.trial("s", 0).state == "completed"


def test_a_worker_that_keeps_beginning_anew_is_lost_each_time(store, toy, spec):
    service = Service(store, Settings(poison_seconds=0))
    service.create(spec(sampler="random", budget={"trials": 1}))
    worker = toy()
    worker.service = service
    for _ in range(5):
        (assignment,) = worker.ask()
        worker.say(worker.told(assignment, upto=1))
    worker.ask()
    assert "lost 5 times" in service.trial("s", 0).error


def test_a_takeover_gets_its_own_trials(service, toy, spec):
    service.create(spec(**RANDOM))
    one, two = toy("a"), toy("b")
    one.ask(hold=2)
    (mine,) = two.ask()
    service.release(one.lease.lease)
    (again,) = two.ask()
    assert (again.trial, again.attempt) == (mine.trial, 2)


def test_a_report_that_is_refused_teaches_the_sampler_nothing(store, toy, spec):
    fields = {"sampler": {"name": "tpe", "parallel": 2}, "budget": {"trials": 25}, "epochs": 1}
    values = []
    for name in ("calm", "hurt"):
        service = Service(store)
        service.create(spec(name=name, **fields))
        worker = toy()
        worker.service = service
        worker.ask(hold=2, study=name)
        if name == "hurt":
            first, second = worker.held
            lie = Point(epoch=1, metrics={"val_loss": -9.0})
            done = Result(state="completed")
            bad = Report(study=name, trial=second.trial, attempt=1, points=(Point(epoch=99, metrics={}),))
            with pytest.raises(InvalidInput):
                worker.say(Report(study=name, trial=first.trial, attempt=1, points=(lie,), result=done), bad)
        while worker.held:
            worker.finish(hold=2)
        values.append([(trial.params, trial.value) for trial in service.trials(name).items])
    assert values[0] == values[1]


def test_a_refused_result_stores_nothing_of_its_report(service, toy, spec):
    service.create(spec(**RANDOM))
    worker = toy()
    (assignment,) = worker.ask()
    early = worker.told(assignment, upto=2, result=Result(state="completed"))
    assert "not complete" in worker.say(early).rejected[0].reason
    assert service.curve("s", 0) == []
    assert service.trial("s", 0).epochs.trained == 0


def test_an_external_metric_that_is_never_reported_fails(service, toy, spec):
    service.create(spec(task="external", objective={"metric": "score", "direction": "maximize"}))
    lease = service.lease(LeaseRequest(worker="me", hold=1, study="s"))
    point = Point(epoch=1, metrics={"loss": 1.0})
    report = Report(study="s", trial=0, attempt=1, points=(point,), result=Result(state="completed"))
    service.report(lease.lease, ReportRequest(reports=(report,)))
    assert service.trial("s", 0).state == "failed"
    assert "score" in service.trial("s", 0).error


def test_a_trial_that_may_end_its_workers_is_trained_alone(store, service, toy, spec):
    short = Service(store, Settings(lease_seconds=0.05))
    short.create(spec(budget={"trials": 3}))
    for name in ("w1", "w2"):
        doomed = toy(name)
        doomed.service = short
        assert len(doomed.ask(hold=8)) == 3
        time.sleep(0.1)
    worker = toy("w3")
    worker.ask(hold=8)
    for number in range(3):
        worker.say(worker.told(worker.held[0], upto=1), hold=8)
        assert [held.trial for held in worker.held] == [number]
        last = worker.points(worker.held[0], 2, 3)
        done = worker.told(worker.held.pop()).model_copy(update={"points": last})
        worker.say(done, hold=8)
    assert service.study("s").progress.trials == {"completed": 3}


def test_a_note_becomes_one_warning_of_its_study(service, toy, spec):
    service.create(spec(budget={"trials": 2}))
    worker = toy("w")
    first, second = worker.ask(hold=2)
    for upto in (1, 2):
        worker.say(*(worker.told(one, upto=upto).model_copy(update={"note": "slowly"}) for one in (first, second)))
    assert service.study("s").warnings == ("slowly",)
