"""Where a trial ends that has stored more than belongs to it."""

from __future__ import annotations

import pytest

from lrsearch.study import Point, Report, Result


@pytest.fixture
def begun_again(service, toy, spec):
    """An external trial whose first attempt reported seven epochs; the worker with its second."""
    service.create(
        spec(task="external", epochs=9, objective={"metric": "val_loss", "direction": "minimize"}, sampler="random")
    )
    lost, worker = toy("lost", offers=()), toy("w", offers=())
    (its,) = lost.ask(1, "s")
    lost.say(reported(its, 1, 7, 0.1), hold=0)
    service.release(lost.lease.lease)
    (its,) = worker.ask(1, "s")
    assert (its.trial, its.attempt, its.reported) == (0, 2, 7)
    return worker


def reported(its, first: int, last: int, loss: float | None, result: str | None = None) -> Report:
    points = [
        Point(epoch=epoch, seed=its.seeds[0], metrics={"val_loss": loss and loss + epoch})
        for epoch in range(first, last + 1)
    ]
    ending = None if result is None else Result(state=result)
    return Report(study=its.study, trial=its.trial, attempt=its.attempt, points=tuple(points), result=ending)


def curve(service) -> list[float | None]:
    return [point.metrics["val_loss"] for point in service.curve("s", 0)]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_loop_that_begins_again_and_leaves_sooner_ends_where_it_left(service, begun_again, at_once):
    (its,) = begun_again.held
    if at_once:
        begun_again.say(reported(its, 1, 5, 0.5, "completed"), hold=0)
    else:
        begun_again.say(reported(its, 1, 5, 0.5), hold=0)
        begun_again.say(reported(its, 6, 5, 0.5, "completed"), hold=0)
    trial = service.trial("s", 0)
    assert (trial.state, trial.value, trial.metrics) == ("completed", 5.5, {"val_loss": 5.5})
    assert curve(service) == [1.5, 2.5, 3.5, 4.5, 5.5]


def test_a_loop_that_begins_again_and_is_no_number_at_its_end_has_diverged(service, begun_again):
    (its,) = begun_again.held
    begun_again.say(reported(its, 1, 4, 0.5), hold=0)
    begun_again.say(reported(its, 5, 5, None, "completed"), hold=0)
    assert service.trial("s", 0).state == "diverged"


def test_a_loop_that_goes_on_from_its_own_checkpoint_keeps_what_came_before(service, begun_again):
    (its,) = begun_again.held
    begun_again.say(reported(its, 8, 9, 0.5, "completed"), hold=0)
    assert service.trial("s", 0).value == 9.5
    assert curve(service) == [*(0.1 + epoch for epoch in range(1, 8)), 8.5, 9.5]


def test_a_loop_with_nothing_left_to_do_ends_with_what_had_arrived(service, begun_again):
    (its,) = begun_again.held
    begun_again.say(reported(its, 1, 0, None, "completed"), hold=0)
    assert service.trial("s", 0).value == 7.1


def test_seeds_may_be_trained_one_after_the_other_under_early_stopping(service, toy, spec):
    """The second seed's fifth epoch stops the trial there; the first one has gone on to its tenth."""
    service.create(spec(epochs=10, train={"seeds": 2}, stop={"patience": 3}, budget={"trials": 1}, sampler="random"))
    worker = toy()
    (its,) = worker.ask()
    losses = [3.0, 2.0, 5.0, 5.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    told = [
        [Point(epoch=epoch, seed=seed, metrics={"val_loss": loss + seed}) for epoch, loss in enumerate(losses, 1)]
        for seed in its.seeds
    ]
    report = Report(study="s", trial=0, attempt=1, points=tuple(told[0]))
    assert not worker.say(report).directives
    for point in told[1][:5]:
        answer = worker.say(report.model_copy(update={"points": (point,)}), hold=0)
        assert not answer.rejected
    assert [(it.do, it.why) for it in answer.directives] == [("stop", "stopped early")]
    trial = service.trial("s", 0)
    assert (trial.state, trial.stopped_at) == ("completed", 5)
    assert trial.values == tuple(5.0 + seed for seed in its.seeds)
    assert max(point.epoch for point in service.curve("s", 0)) == 5
