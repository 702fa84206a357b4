"""Whose trials come first where several owners have studies."""

from __future__ import annotations

import pytest

RANDOM = {"sampler": "random", "budget": {"trials": 8}}


@pytest.fixture
def create(service, spec):
    return lambda name, owner, **fields: service.create(spec(name=name, **RANDOM | fields), owner=owner)


def studies(held):
    return [assignment.study for assignment in held]


def test_a_free_worker_takes_from_the_owner_with_the_fewest_running_trials(toy, create):
    create("a1", "ann")
    create("a2", "ann")
    create("b1", "bob", train={"batch_size": 8})
    assert studies(toy("w1").ask(hold=3)) == ["a1"] * 3
    assert studies(toy("w2").ask(hold=1)) == ["b1"]
    assert studies(toy("w3").ask(hold=1)) == ["b1"]
    assert studies(toy("w4").ask(hold=2)) == ["b1"] * 2
    assert studies(toy("w5").ask(hold=2)) == ["a1"] * 2  # three against four: ann's turn, the oldest of hers


def test_an_owner_alone_is_served_in_order(toy, create):
    create("a1", "ann", budget={"trials": 2})
    create("a2", "ann", budget={"trials": 2})
    worker = toy()
    assert studies(worker.ask(hold=4)) == ["a1"] * 2 + ["a2"] * 2


def test_nobody_starves_behind_a_long_study(service, toy, create):
    create("long", "ann", budget={"trials": 40})
    worker = toy()
    worker.ask(hold=2)
    worker.finish()
    create("short", "bob", budget={"trials": 2}, train={"batch_size": 8})
    order = []
    while worker.held:
        order.append(worker.held[0].study)
        worker.finish()
    assert order.index("short") <= 2
    assert service.study("short").state == "completed"
    assert service.study("long").state == "completed"
    assert order.count("long") == 39 + 1  # its test run with them


def test_owners_with_one_recipe_share_a_worker(toy, create):
    create("a", "ann")
    worker = toy()
    worker.ask(hold=3)
    create("b", "bob")
    worker.finish()
    assert studies(worker.held) == ["a", "a", "b"]
    worker.finish()
    assert studies(worker.held) == ["a", "b", "b"]


def test_one_place_goes_round(toy, create):
    create("a", "ann")
    create("b", "bob", train={"batch_size": 8})
    worker = toy()
    worker.ask(hold=1)
    order = []
    for _ in range(6):
        order += studies(worker.held)
        worker.finish()
    assert order == ["a", "b"] * 3


def test_who_could_not_train_the_others_study_goes_on_with_his(service, toy, create, spec):
    create("mine", "ann", budget={"trials": 6})
    service.create(spec(name="theirs", task="nobody-offers"), owner="bob")
    service.create(
        spec(name="loop", task="external", objective={"metric": "score", "direction": "maximize"}), owner="eve"
    )
    worker = toy()
    worker.ask(hold=2)
    worker.finish()
    assert studies(worker.held) == ["mine"] * 2


def test_waiting_and_ended_trials_are_not_under_way(service, toy, create):
    create("a", "ann")
    create("b", "bob")
    one = toy("w1")
    one.ask(hold=2)
    two = toy("w2")
    assert studies(two.ask(hold=1)) == ["b"]
    service.pause("a")
    one.say()
    assert studies(toy("w3").ask(hold=1)) == ["b"]
    service.resume("a")
    assert studies(toy("w4").ask(hold=1)) == ["a"]
