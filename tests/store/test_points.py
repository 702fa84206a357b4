from __future__ import annotations

import math

import pytest

from lrsearch.errors import InvalidInput, NotFound
from lrsearch.store import Arrival


@pytest.fixture
def tx(store, study, trial):
    """A transaction on a store with two trials of study s, and one of t."""
    with store.transaction() as tx:
        for name in ("s", "t"):
            tx.studies.add(study(name))
            tx.trials.add(name, [trial(0), trial(1)])
        yield tx


def test_points_come_back_by_seed_and_epoch(tx, point):
    odd = point(
        2, 1, update=40, shared=True, lr_first=0.1, lr_last=None, seconds=None, metrics={"é\0": None, "b": 0.1 + 0.2}
    )
    written = [point(1, 1), point(2, 0), odd, point(1, 0)]
    assert tx.points.add("s", [Arrival(0, "trial", 1, written, [None] * 4)])[0] == (written, [])
    assert tx.points.of("s", 0) == [point(1, 0), point(2, 0), point(1, 1), odd]
    assert tx.points.of("s", 1) == tx.points.of("t", 0) == tx.points.of("s", 0, purpose="test") == []


def test_adding_again(tx, point):
    first = [point(1), point(2)]
    assert tx.points.add("s", [Arrival(0, "trial", 1, first, [1.0, 2.0])])[0] == (first, [])
    # the same attempt repeats its report: nothing was trained
    assert tx.points.add("s", [Arrival(0, "trial", 1, [point(2), point(3)], [2.0, 3.0])])[0] == ([point(3)], [])
    # a later attempt trains epochs again, and what it measured counts
    anew = [point(2, metrics={"val_loss": 9.0}), point(3), point(4)]
    assert tx.points.add("s", [Arrival(0, "trial", 2, anew, [9.0, 3.0, 4.0])])[0] == ([point(4)], anew[:2])
    assert tx.points.add("s", [Arrival(0, "trial", 2, anew, [9.0, 3.0, 4.0])])[0] == ([], [])
    assert tx.points.of("s", 0) == [point(1), *anew]
    assert tx.points.objective("s", 0) == {1: {0: 1.0}, 2: {0: 9.0}, 3: {0: 3.0}, 4: {0: 4.0}}


def test_adding_nothing_and_twice_in_one_batch(tx, point):
    assert tx.points.add("s", [Arrival(0, "trial", 1, [], [])])[0] == ([], [])
    assert tx.points.add("s", [Arrival(0, "trial", 1, [point(1), point(1)], [1.0, 2.0])])[0] == ([point(1)], [])
    assert tx.points.objective("s", 0) == {1: {0: 2.0}}


def test_points_have_an_epoch_and_a_seed(tx, point):
    for missing in ({"seed": None}, {"epoch": None, "update": 3}):
        with pytest.raises(InvalidInput, match="epoch and a seed"):
            tx.points.add(
                "s",
                [
                    Arrival(
                        0,
                        "trial",
                        1,
                        [point(1, **missing) if "seed" in missing else point(1).model_copy(update=missing)],
                        [1.0],
                    )
                ],
            )


def test_points_need_their_trial(store, study, point):
    with store.transaction() as tx:
        tx.studies.add(study("s"))
    with pytest.raises(NotFound, match=r"no such trial .* \(adding to 7\)"), store.transaction() as tx:
        tx.points.add("s", [Arrival(7, "trial", 1, [point(1)], [1.0])])


def test_a_large_batch(tx, point):
    many = [point(epoch, seed) for epoch in range(1, 2001) for seed in range(5)]
    [added] = tx.points.add("s", [Arrival(0, "trial", 1, many, [float(p.epoch) for p in many])])
    assert len(added.fresh) == 10_000
    assert tx.points.epochs_done("s", 0, seeds=range(5)) == 2000
    assert {seed: last.epoch for seed, last in tx.points.last("s", 0, seeds=range(5)).items()} == dict.fromkeys(
        range(5), 2000
    )


def test_epochs_done_counts_those_of_every_seed_without_gaps(tx, point):
    assert tx.points.epochs_done("s", 0, seeds=[0]) == 0
    tx.points.add(
        "s", [Arrival(0, "trial", 1, [point(e, 0) for e in (1, 2, 3, 5)] + [point(e, 7) for e in (1, 2)], [None] * 6)]
    )
    tx.points.add("s", [Arrival(0, "confirm", 1, [point(1, 9)], [None])])
    assert tx.points.epochs_done("s", 0, seeds=[0]) == 3
    assert tx.points.epochs_done("s", 0, seeds=[0, 7]) == 2
    assert tx.points.epochs_done("s", 0, seeds=[0, 7, 8]) == 0
    assert tx.points.epochs_done("s", 0, purpose="confirm", seeds=[9]) == 1
    assert tx.points.epochs_done("s", 0, seeds=[]) == 0


def test_last(tx, point):
    tx.points.add("s", [Arrival(0, "trial", 1, [point(1, 0), point(2, 0), point(1, 5)], [None] * 3)])
    tx.points.add("s", [Arrival(0, "test", 1, [point(9, 0)], [None])])
    assert tx.points.last("s", 0, purpose="trial", seeds=[5, 0, 6]) == {0: point(2, 0), 5: point(1, 5)}
    assert tx.points.last("s", 0, purpose="test", seeds=[0]) == {0: point(9, 0)}
    assert tx.points.last("s", 1, purpose="trial", seeds=[0]) == {}


def test_the_objective_by_epoch_and_seed(tx, point):
    tx.points.add("s", [Arrival(0, "trial", 1, [point(2, 1), point(1, 0), point(1, 1)], [math.nan, 0.1 + 0.2, 5e-324])])
    read = tx.points.objective("s", 0)
    assert read == {1: {0: 0.1 + 0.2, 1: 5e-324}, 2: {1: None}}
    assert list(read) == [1, 2]
    assert tx.points.objective("s", 0, purpose="test") == {}


def test_the_objective_of_earlier_trials_at_an_epoch(tx, trial, point):
    tx.trials.add("s", [trial(n) for n in range(2, 8)])
    for number, values in {0: [0.1, 0.2, 0.4], 1: [1.0, None, 1.0], 2: [3.0] * 3, 3: [4.0] * 3, 5: [5.0] * 3}.items():
        points = [point(epoch, seed) for epoch in (1, 2) for seed in range(3)]
        of_points = [values[p.seed] if p.epoch == 2 else 99.0 for p in points]
        tx.points.add("s", [Arrival(number, "trial", 1, points, of_points)])
        if number != 3:
            tx.trials.change("s", number, state="completed", value=1.0)
    tx.points.add("s", [Arrival(2, "confirm", 1, [point(2, 8)], [100.0])])
    tx.trials.change("s", 4, state="completed", value=1.0)
    mean = math.fsum([0.1, 0.2, 0.4]) / 3
    assert tx.points.objective_at("s", 2, before=5) == [(0, mean), (1, None), (2, 3.0)]
    assert tx.points.objective_at("s", 2, before=6) == [(0, mean), (1, None), (2, 3.0), (5, 5.0)]
    assert tx.points.objective_at("s", 3, before=6) == tx.points.objective_at("t", 2, before=6) == []


def test_cut(tx, point):
    for purpose in ("trial", "test"):
        tx.points.add("s", [Arrival(0, purpose, 1, [point(e, s) for e in (1, 2, 3) for s in (0, 1)], [None] * 6)])
    tx.points.add("s", [Arrival(1, "trial", 1, [point(3)], [None])])
    tx.points.cut("s", 0, after=1)
    assert tx.points.of("s", 0) == [point(1, 0), point(1, 1)]
    assert len(tx.points.of("s", 0, purpose="test")) == 6
    assert tx.points.of("s", 1) == [point(3)]
