from __future__ import annotations

import time

import pytest

from lrsearch.errors import Conflict, InvalidInput, NotFound
from lrsearch.study import Budget, Result, StudyPatch, TrialRequest

GRID = {"family": "cosine", "initial_lr": [0.01, 0.1, 1.0], "final_factor": [0, 0.1]}


def test_a_study_runs_to_its_end_and_names_its_best(service, toy, spec):
    study, new = service.create(spec())
    assert new
    assert study.state == "queued"
    assert "no worker" in study.warnings[0]
    toy().work()
    study = service.study("s")
    assert study.state == "completed"
    assert study.progress.trials == {"completed": 4}
    trials = service.trials("s").items
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert study.best.trial == min(trials, key=lambda trial: (trial.value, trial.number)).number
    assert study.best.value == service.trial("s", study.best.trial).value
    assert study.best.test == {"test_loss": 0.5}
    assert study.updates_per_epoch == 4
    assert study.progress.epochs.asked == 12
    assert study.warnings == ()


def test_the_same_spec_again_is_the_same_study_and_another_spec_a_conflict(service, spec):
    service.create(spec())
    _, new = service.create(spec())
    assert not new
    with pytest.raises(Conflict, match=r"budget\.trials"):
        service.create(spec(budget={"trials": 5}))


def test_the_same_spec_is_recognised_after_its_task_completed_it(service, toy, spec):
    service.create(spec())
    toy().work()
    study, new = service.create(spec())
    assert not new
    assert study.state == "completed"
    with pytest.raises(Conflict, match=r"options\.width"):
        service.create(spec(options={"width": 9}))


def test_a_task_that_is_nearly_a_known_one_is_hardly_meant(service, toy, spec):
    assert "did you mean `external`?" in service.create(spec(name="a", task="extrenal"))[0].warnings[0]
    assert "did you mean" not in service.create(spec(name="b", task="something-else"))[0].warnings[0]
    worker = toy()
    worker.work()
    near = service.create(spec(name="c", task=f"{worker.offers[0].name}s"))[0].warnings[0]
    assert f"did you mean `{worker.offers[0].name}`?" in near


def test_an_idempotency_key_has_one_effect_and_one_answer(service, spec):
    first, _ = service.create(spec(name=None), key="k")
    again, new = service.create(spec(name=None), key="k")
    assert new
    assert first.model_dump_json() == again.model_dump_json()
    assert len(service.studies().items) == 1
    with pytest.raises(Conflict, match="another request"):
        service.create(spec(name=None, epochs=4), key="k")


def test_unnamed_studies_are_numbered(service, spec):
    names = [service.create(spec(name=None))[0].name for _ in range(3)]
    assert names == ["toy-1", "toy-2", "toy-3"]


def test_a_spec_that_does_not_fit_its_late_task_fails_with_the_reason(service, toy, spec):
    service.create(spec(options={"widht": 3}))
    toy().ask()
    study = service.study("s")
    assert study.state == "failed"
    assert "width" in study.error


def test_a_known_task_refuses_a_bad_spec_at_once(service, toy, spec):
    toy().ask(hold=0)
    with pytest.raises(InvalidInput, match="did you mean `width`"):
        service.create(spec(options={"widht": 3}))
    with pytest.raises(InvalidInput, match="test set"):
        service.create(spec(objective={"metric": "test_loss"}))
    assert service.studies().items == ()


def test_pause_stops_running_trials_and_resume_continues_them(service, toy, spec):
    service.create(spec())
    worker = toy()
    (assignment,) = worker.ask()
    worker.say(worker.told(assignment, upto=1))
    assert service.pause("s").state == "paused"
    answer = worker.say(worker.told(assignment, upto=2))
    assert [directive.do for directive in answer.directives] == ["stop"]
    assert answer.assignments == ()
    assert service.trial("s", 0).state == "queued"
    assert service.resume("s").state == "running"
    (again,) = worker.ask()
    assert (again.trial, again.attempt, again.reported) == (0, 2, 2)
    worker.held = [again]
    while worker.held:
        worker.finish()
    assert service.study("s").state == "completed"
    assert service.trial("s", 0).epochs.trained == 3


def test_cancel_stops_what_runs_and_keeps_results(service, toy, spec):
    service.create(spec())
    worker = toy()
    worker.ask()
    worker.finish()
    service.cancel("s")
    answer = worker.say()
    assert [(d.do, d.why) for d in answer.directives] == [("stop", "cancelled")]
    assert worker.say().directives == ()
    study = service.study("s")
    assert study.state == "cancelled"
    assert study.progress.trials == {"completed": 1, "cancelled": 1}
    assert study.best.trial == 0
    assert service.cancel("s").state == "cancelled"
    for verb in (service.pause, service.resume):
        with pytest.raises(Conflict):
            verb("s")


def test_delete_is_refused_while_running(service, toy, spec):
    service.create(spec())
    toy().ask()
    with pytest.raises(Conflict):
        service.delete("s")
    service.cancel("s")
    service.delete("s")
    with pytest.raises(NotFound):
        service.study("s")
    service.create(spec())
    assert service.trials("s").items == ()


@pytest.mark.parametrize("held_by", ["trial", "range test"])
def test_what_was_measured_for_a_deleted_study_is_kept_out_of_the_next_of_its_name(service, toy, spec, held_by):
    """Numbers and attempts begin anew with it: the lease that holds some of them ends, so nobody mixes them up."""
    space = {"family": "cosine", "initial_lr": "auto"} if held_by == "range test" else GRID
    service.create(spec(space=space))
    service.create(spec(name="other"))
    worker = toy()
    (held,) = worker.ask(1, "s")
    if held_by == "trial":
        service.cancel("s")
    service.delete("s")  # while its range test is made, a study is queued
    service.create(spec(space=space))
    with pytest.raises(Conflict, match="lease has ended"):
        worker.say()
    (again,) = worker.ask(1, "s")
    assert again.key == held.key
    assert service.study("s").progress.epochs.asked == 0
    assert service.study("other").state == "queued"


def test_a_study_without_anything_left_to_do_ends_without_a_worker(service, toy, spec):
    service.create(spec(budget={"trials": 6}))
    worker = toy()
    worker.ask(1)
    worker.finish(hold=0)
    assert service.study("s").state == "running"
    assert service.patch("s", StudyPatch(budget=Budget(trials=1))).state == "running", "its winner is to be tested"
    worker.work()
    assert service.study("s").state == "completed"
    external = {"task": "external", "objective": {"metric": "score", "direction": "maximize"}}
    for name in ("patched", "resumed"):
        service.create(spec(**external, name=name, budget={"trials": 2}))
        worker.ask(1, name)
        done = worker.held[0]
        if name == "resumed":
            service.pause(name)
            service.patch(name, StudyPatch(budget=Budget(trials=1)))
            service.cancel_trial(name, done.trial)
            assert service.resume(name).state == "failed", "its only trial was cancelled"
        else:
            report = worker.told(done, result=Result(state="completed", value=1.0))
            worker.say(report, hold=0)
            assert service.patch(name, StudyPatch(budget=Budget(trials=1))).state == "completed"


def test_a_larger_budget_goes_on_and_a_done_grid_is_a_conflict(service, toy, spec):
    service.create(spec())
    toy().work()
    assert service.patch("s", StudyPatch(budget=Budget(trials=6))).state == "running"
    toy().work()
    assert service.study("s").progress.trials == {"completed": 6}
    service.create(spec(name="g", sampler="grid", space=GRID, budget={}))
    toy().work()
    assert service.study("g").progress.trials == {"completed": 6}
    with pytest.raises(Conflict, match="cell"):
        service.patch("g", StudyPatch(budget=Budget(trials=10)))


def test_a_grid_visits_every_cell_once_and_part_of_it_is_a_permutations_start(service, toy, spec):
    toy().ask(hold=0)
    service.create(spec(name="all", sampler="grid", space=GRID, budget={}))
    service.create(spec(name="some", sampler="grid", space=GRID, budget={"trials": 4}))
    toy().work()
    cells = [tuple(trial.params.items()) for trial in service.trials("all").items]
    assert len(set(cells)) == len(cells) == 6
    assert [tuple(trial.params.items()) for trial in service.trials("some").items] == cells[:4]


def test_baselines_come_first_and_count(service, toy, spec):
    service.create(spec(baselines=[{"family": "constant", "initial_lr": 0.5}]))
    toy().work()
    trials = service.trials("s").items
    assert len(trials) == 4
    assert trials[0].origin == "baseline"
    assert trials[0].schedule.family == "constant"
    assert service.best("s")[0].baseline_value == trials[0].value


def test_enqueued_retried_and_imported_trials(service, toy, spec):
    toy().ask(hold=0)
    service.create(spec())
    with pytest.raises(InvalidInput, match="one of"):
        service.add_trial("s", TrialRequest())
    with pytest.raises(InvalidInput, match="initial_lr"):
        service.add_trial("s", TrialRequest(params={"lr": 0.1}))
    mine = service.add_trial("s", TrialRequest(params={"initial_lr": 0.1}))
    whole = service.add_trial("s", TrialRequest(schedule={"family": "constant", "initial_lr": 0.2}))
    known = service.add_trial("s", TrialRequest(params={"initial_lr": 0.3}, value=-7.0))
    assert (mine.origin, whole.origin, known.state) == ("enqueued", "enqueued", "completed")
    toy().work()
    again = service.trials("s").items
    assert len(again) == 5
    assert service.best("s")[0].trial == known.number
    with pytest.raises(Conflict, match="budget"):
        service.add_trial("s", TrialRequest(retry=0))
    service.patch("s", StudyPatch(budget=Budget(trials=5)))
    retried = service.add_trial("s", TrialRequest(retry=0))
    assert retried.retry_of == 0
    toy().work()
    assert service.trial("s", retried.number).value == service.trial("s", 0).value


def test_confirm_trains_the_best_on_fresh_seeds_and_ranks_by_them(service, toy, spec):
    service.create(spec(confirm={"top": 2, "seeds": 3}, train={"seed": 5, "seeds": 2}))
    toy().work()
    study = service.study("s")
    assert study.state == "completed"
    leaders = service.best("s", top=4)
    assert [leader.confirmed is not None for leader in leaders] == [True, True, False, False]
    assert leaders[0].confirmed.seeds == (7, 8, 9)
    assert leaders[0].confirmed.mean <= leaders[1].confirmed.mean
    assert leaders[0].test == {"test_loss": 0.5}
    assert {point.seed for point in service.curve("s", leaders[0].trial)} == {5, 6}


def test_epochs_and_hours_bound_a_study(service, toy, spec):
    service.create(spec(budget={"epochs": 5}))
    toy().work()
    study = service.study("s")
    assert study.state == "completed"
    assert study.progress.epochs.trained == 6
    assert study.progress.trials == {"completed": 2}


def test_what_is_left_is_known_before_a_trial_has_ended(service, toy, spec):
    service.create(spec(epochs=10))
    worker = toy()
    worker.ask(hold=4)
    assert service.study("s").progress.seconds.left is None
    worker.say(*[worker.told(assignment, upto=5) for assignment in worker.held])
    seconds = service.study("s").progress.seconds
    assert seconds.left == pytest.approx(seconds.elapsed)


def test_a_budget_is_never_without_end(service, toy, spec):
    toy().ask(hold=0)
    service.create(spec())
    patched = service.patch("s", StudyPatch.read({"budget": {"trials": None}}))
    assert patched.spec.budget.trials == 32


def test_long_horizons_hold_nobody_up(service, toy, spec):
    toy().ask(hold=0)
    baselines = [{"family": "constant", "initial_lr": 0.1}]
    fields = {"epochs": None, "updates": 10**9, "eval_every": 10**5, "baselines": baselines}
    begun = time.monotonic()
    service.create(spec(**fields))
    assert service.cost(spec(**fields)).epochs_distinct is None
    assert time.monotonic() - begun < 5
    assert service.trial("s", 0).plan_key is None
