from __future__ import annotations

import math
from datetime import timedelta

import pytest

from lrsearch.errors import Conflict, InvalidInput, NotFound
from lrsearch.study import Comparison, Confirmed, Divergence, EpochCounts, EpochProgress, Outcome


@pytest.fixture
def tx(store, study):
    """A transaction on a store with the studies s and t."""
    with store.transaction() as tx:
        tx.studies.add(study("s"))
        tx.studies.add(study("t"))
        yield tx


def numbers(trials):
    return [trial.number for trial in trials]


def pages(tx, **options):
    items, cursor = [], None
    while True:
        page = tx.trials.page("s", limit=2, cursor=cursor, **options)
        items += page.items
        if page.next is None:
            return numbers(items)
        cursor = page.next


def test_a_trial_comes_back_whole(tx, trial, moment):
    written = trial(
        5,
        state="completed",
        value=0.1 + 0.2,
        values=(0.1, None, 5e-324),
        metrics={"val_loss": 1e308, "val_accuracy": None},
        params={"z": 1, "a": [1, "x"], "lr": 0.1},
        origin="enqueued",
        epochs={"trained": 3, "shared": 2, "repeated": 1},
        attempts=2,
        worker="w@host:1",
        error="it broke\n",
        diverged_at={"update": 7, "lr": 0.3},
        seconds=1.5,
        retry_of=3,
        confirmed={"mean": 0.25, "std": None, "seeds": (1, 2)},
        test={"test_loss": 0.5},
        plan_key="ab" * 16,
        started_at=moment,
        finished_at=moment + timedelta(seconds=1),
        purpose="test",
        lease="l",
        heard=2,
    )
    tx.trials.add("s", [written, trial(6)])
    read = tx.trials.get("s", 5)
    assert read == written
    assert (read.purpose, read.lease, read.heard) == ("test", "l", 2)
    assert list(read.params) == ["z", "a", "lr"]
    assert type(read.schedule) is type(written.schedule)
    assert tx.trials.get("s", 6, lock=True) == trial(6)


@pytest.mark.parametrize("number", [0, -1, 2**53, 2**64, 10**30])
def test_a_missing_trial(tx, number):
    with pytest.raises(NotFound, match=f"there is no trial {number} of study `s`"):
        tx.trials.get("s", number)


def test_a_number_is_taken_once_in_a_study(store, study, trial):
    with store.transaction() as tx:
        tx.studies.add(study("s"))
        tx.studies.add(study("t"))
        tx.trials.add("s", [trial(0)])
        tx.trials.add("t", [trial(0)])
    with pytest.raises(Conflict, match="s"), store.transaction() as tx:
        tx.trials.add("s", [trial(1), trial(0)])
    with store.transaction() as tx:
        assert tx.trials.next_number("s") == 1


def test_trials_need_their_study(store, trial):
    with pytest.raises(NotFound, match="`nobody`"), store.transaction() as tx:
        tx.trials.add("nobody", [trial(0)])


def test_change(tx, trial, moment):
    tx.trials.add("s", [trial(0), trial(1)])
    changes = {
        "state": "completed",
        "value": 0.5,
        "values": (0.5, None),
        "metrics": {"val_loss": 0.5},
        "epochs": EpochCounts(trained=4, shared=1, repeated=2),
        "attempts": 1,
        "worker": "w",
        "error": "e",
        "diverged_at": Divergence(update=3),
        "seconds": 2.0,
        "confirmed": Confirmed(mean=0.4, std=0.1, seeds=(1, 2)),
        "test": {"test_loss": 1.0},
        "started_at": moment,
        "finished_at": moment,
        "purpose": None,
        "lease": "l",
        "heard": 1,
        "plan_key": "00",
    }
    for name, value in changes.items():
        tx.trials.change("s", 0, **{name: value})
    assert tx.trials.get("s", 0) == trial(0, **changes)
    tx.trials.change("s", 0, lease=None, error=None, confirmed=None)
    assert tx.trials.get("s", 0) == trial(0, **changes | {"lease": None, "error": None, "confirmed": None})
    assert tx.trials.get("s", 1) == trial(1)


def test_change_refuses_what_could_not_be_read_back(tx, trial):
    tx.trials.add("s", [trial(0)])
    for wrong in ({"state": "bogus"}, {"error": "x" * 3000}, {"attempts": -1}, {"metrics": {"a": "b"}}):
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            tx.trials.change("s", 0, **wrong)
    with pytest.raises(TypeError, match="number"):
        tx.trials.change("s", 0, number=2)
    assert tx.trials.get("s", 0) == trial(0)


@pytest.mark.parametrize("field", [{"state": "failed"}, {"error": "e"}])
def test_change_of_a_missing_trial(tx, field):
    with pytest.raises(NotFound, match="no trial 4"):
        tx.trials.change("s", 4, **field)


def test_numbers_that_are_not_finite_become_null(tx, trial):
    odd = trial(0).model_copy(update={"value": math.nan, "metrics": {"a": math.inf}, "params": {"x": [-math.inf, 1]}})
    tx.trials.add("s", [odd])
    tx.trials.change("s", 0, values=(math.nan, 1.0), confirmed=Confirmed(mean=math.inf, std=None, seeds=()))
    read = tx.trials.get("s", 0)
    assert (read.value, read.metrics, read.params) == (None, {"a": None}, {"x": [None, 1]})
    assert (read.values, read.confirmed.mean) == ((None, 1.0), None)


def test_pages_by_number(tx, trial, ended):
    tx.trials.add("s", [ended(n) if n % 2 else trial(n) for n in (4, 2, 0, 1, 3)])
    tx.trials.add("t", [trial(0)])
    assert pages(tx) == [0, 1, 2, 3, 4]
    assert pages(tx, state="completed") == [1, 3]
    assert tx.trials.page("nobody").items == ()


@pytest.mark.parametrize(("minimize", "expected"), [(True, [3, 0, 4, 2, 1, 5]), (False, [2, 0, 4, 3, 1, 5])])
def test_pages_by_value(tx, ended, minimize, expected):
    values = {0: 0.5, 1: None, 2: 0.75, 3: -1.0, 4: 0.5, 5: None}
    tx.trials.add("s", [ended(n, "completed" if value else "failed", value) for n, value in values.items()])
    assert pages(tx, order="value", minimize=minimize) == expected
    assert pages(tx, order="value", minimize=minimize, state="failed") == [1, 5]


def test_a_cursor_belongs_to_one_order(tx, ended):
    tx.trials.add("s", [ended(n, value=float(n)) for n in range(4)])
    by_number = tx.trials.page("s", limit=1).next
    by_value = tx.trials.page("s", limit=1, order="value").next
    for options in ({"order": "value", "cursor": by_number}, {"cursor": by_value}):
        with pytest.raises(InvalidInput, match="cursor"):
            tx.trials.page("s", **options)
    with pytest.raises(InvalidInput, match="cursor"):
        tx.trials.page("s", order="value", minimize=False, cursor=by_value)
    with pytest.raises(InvalidInput, match="order"):
        tx.trials.page("s", order="best")


def test_outcomes(tx, trial, ended):
    assert tx.trials.outcomes("s") == []
    tx.trials.add("s", [ended(1, value=0.1), trial(0, params={"b": 1, "a": [None]}), ended(2, "failed")])
    first = Outcome(0, "queued", None, {"b": 1, "a": [None]}, "sampler")
    rest = [
        Outcome(n, state, value, ended(n).params, "sampler")
        for n, state, value in [(1, "completed", 0.1), (2, "failed", None)]
    ]
    assert tx.trials.outcomes("s") == [first, *rest]
    assert tx.trials.outcomes("s", start=1) == rest
    assert tx.trials.outcomes("s", start=3) == []


def test_what_is_to_hand_out(tx, trial, ended):
    tx.trials.add(
        "s",
        [
            trial(5),
            trial(0, lease="l", state="running"),
            trial(1, state="waiting"),
            ended(2, value=1.0),
            ended(3, value=1.0, purpose="confirm"),
            trial(4),
        ],
    )
    assert numbers(tx.trials.to_hand_out("s", 10)) == [3, 4, 5]
    assert numbers(tx.trials.to_hand_out("s", 2)) == [3, 4]
    assert tx.trials.to_hand_out("t", 10) == []
    assert tx.trials.open_work("s") == 5
    assert tx.trials.open_work("t") == 0


def test_leases_hold_and_let_go(tx, trial, ended):
    tx.trials.add("s", [trial(n, lease="l", state="running") for n in (3, 10)] + [trial(4, lease="m", state="running")])
    tx.trials.add("t", [ended(1, value=0.5, purpose="test", lease="l"), trial(0, state="waiting", lease="l")])
    held = [("s", 3), ("s", 10), ("t", 0), ("t", 1)]
    assert [(trial.study, trial.number) for trial in tx.trials.held("l")] == held
    assert tx.trials.let_go("l") == held
    assert tx.trials.held("l") == []
    assert tx.trials.let_go("l") == []
    assert tx.trials.get("s", 3) == trial(3)
    assert (tx.trials.get("t", 0).state, tx.trials.get("t", 1).state) == ("waiting", "completed")
    assert tx.trials.get("s", 4).lease == "m"


def test_running_keys(tx, store, study, trial, moment):
    tx.studies.add(study("alone"))
    comparison = {"name": "c", "owner": "local", "state": "queued", "studies": (), "progress": {}, "created_at": moment}
    arms = [{"name": "a", "sampler": "random"}, {"name": "b", "sampler": "tpe"}]
    spec = {"spec": study("x").spec, "arms": arms}
    tx.comparisons.add(Comparison.model_validate(comparison | {"spec": spec}))
    for name in ("c.a", "c.b"):
        tx.studies.add(study(name, comparison="c"))
    held = {"lease": "l", "state": "running"}
    tx.trials.add("c.a", [trial(0, plan_key="k0", **held), trial(1, plan_key="k1"), trial(2, **held)])
    tx.trials.add("c.b", [trial(0, plan_key="k2", **held)])
    tx.trials.add("alone", [trial(0, plan_key="k3", **held)])
    assert tx.trials.running_keys("c") == {"k0", "k2"}
    assert tx.trials.running_keys("nothing") == set()


def test_counts_and_sums(tx, trial, ended):
    assert tx.trials.next_number("s") == 0
    assert tx.trials.states("s") == ({}, EpochProgress())
    assert tx.trials.first_open("s") == 0
    tx.trials.add(
        "s", [trial(0, epochs={"trained": 5, "repeated": 2}), trial(7), ended(2, value=1.0, epochs={"shared": 3})]
    )
    assert tx.trials.next_number("s") == 8
    epochs = EpochProgress(asked=6, trained=5, shared=3, repeated=2)
    assert tx.trials.states("s") == ({"completed": 1, "queued": 2}, epochs)
    assert tx.trials.states("s", start=1) == ({"completed": 1, "queued": 1}, EpochProgress(asked=3, shared=3))
    assert [tx.trials.first_open("s", start=start) for start in (0, 1, 8)] == [0, 7, 8]
    assert tx.trials.finishes("s") == [(1.0, 3)]


def test_finishes_count_every_ended_trial(tx, trial, ended):
    states = ["completed", "pruned", "diverged", "failed", "cancelled"]
    tx.trials.add("s", [ended(n, state, 0.5, epochs={"trained": n}) for n, state in enumerate(states)])
    tx.trials.add("s", [trial(9, state="running", epochs={"trained": 4}), trial(8, state="waiting")])
    assert tx.trials.finishes("s") == [(0.5, 0), (None, 1), (None, 2), (None, 3), (None, 4)]


@pytest.mark.parametrize("minimize", [True, False])
def test_leaders_are_what_brute_force_finds(tx, ended, minimize):
    values = [0.5, 0.25, 0.5, -1.0, 0.25, 3.0, 0.5, 0.125]
    means = {2: 0.75, 5: 0.5, 6: 0.75, 7: None}
    trials = [
        ended(n, value=value, confirmed={"mean": means[n], "std": None, "seeds": (1,)} if n in means else None)
        for n, value in enumerate(values)
    ]
    tx.trials.add("s", [*trials, ended(20, "pruned", -9.0), ended(21, "failed"), ended(22, "diverged")])
    sign = 1 if minimize else -1

    def rank(trial):
        mean = trial.confirmed.mean if trial.confirmed else None
        return (mean is None, sign * mean if mean is not None else 0, sign * trial.value, trial.number)

    expected = numbers(sorted(trials, key=rank))
    for top in (1, 2, 3, 5, 8, 100):
        assert numbers(tx.trials.leaders("s", minimize=minimize, top=top)) == expected[:top]
    assert tx.trials.leaders("t", minimize=minimize, top=3) == []


def test_failures_in_a_row(tx, trial, ended):
    assert tx.trials.failed_in_a_row("s") == 0
    assert tx.trials.last_error("s") is None
    tx.trials.add("s", [ended(0, "failed", error="first"), ended(1, "failed", error="second"), trial(9)])
    assert (tx.trials.failed_in_a_row("s"), tx.trials.last_error("s")) == (2, "second")
    tx.trials.add("s", [ended(2, value=0.5)])
    assert (tx.trials.failed_in_a_row("s"), tx.trials.last_error("s")) == (0, "second")
    same = ended(4).finished_at
    tx.trials.add("s", [ended(n, "failed", error=f"{n}", finished_at=same) for n in (3, 4, 5)])
    assert (tx.trials.failed_in_a_row("s"), tx.trials.last_error("s")) == (3, "5")
    tx.trials.change("s", 4, state="cancelled")
    assert tx.trials.failed_in_a_row("s") == 1
    # the order is that of ending, not of numbers
    tx.trials.change("s", 0, finished_at=same + timedelta(microseconds=1))
    assert (tx.trials.failed_in_a_row("s"), tx.trials.last_error("s")) == (2, "first")


def test_cancel_open(tx, trial, ended, moment):
    later = moment + timedelta(hours=1)
    kept = [ended(0, "failed"), ended(1, value=0.5)]
    tx.trials.add("s", [*kept, ended(2, value=0.5, purpose="confirm"), trial(3), trial(4, state="running", lease="l")])
    tx.trials.add("s", [trial(5, state="waiting")])
    tx.trials.add("t", [trial(0)])
    tx.trials.cancel_open("s", later)
    for number in (3, 4, 5):
        read = tx.trials.get("s", number)
        assert (read.state, read.purpose, read.finished_at) == ("cancelled", None, later)
    assert [trial.study for trial in tx.trials.held("l")] == ["s"]
    assert [tx.trials.get("s", n) for n in (0, 1)] == kept
    assert tx.trials.get("s", 2) == ended(2, value=0.5)
    assert tx.trials.get("t", 0) == trial(0)


def test_ten_thousand_trials(tx, ended):
    one = ended(0, value=0.0)
    many = [one.model_copy(update={"number": n, "value": (n * 7919) % 10007 / 10007}) for n in range(10_000)]
    tx.trials.add("s", many)
    outcomes = tx.trials.outcomes("s")
    assert [o.number for o in outcomes] == list(range(10_000))
    assert [o.value for o in outcomes] == [trial.value for trial in many]
    best = sorted(many, key=lambda trial: (trial.value, trial.number))
    assert numbers(tx.trials.leaders("s", minimize=True, top=5)) == numbers(best[:5])
    assert numbers(tx.trials.page("s", order="value", limit=2500).items) == numbers(best[:2500])
    assert tx.trials.next_number("s") == 10_000


def test_a_leases_share_of_what_is_held(tx, trial):
    assert tx.trials.share("s", "a") == (0, 0)
    held = {"state": "running", "purpose": "trial"}
    tx.trials.add(
        "s", [trial(0, lease="a", **held), trial(1, lease="b", **held), trial(2), trial(3, lease="a", **held)]
    )
    tx.trials.add("t", [trial(0, lease="a", **held)])
    assert tx.trials.share("s", "a") == (2, 3)
    assert tx.trials.share("s", "c") == (0, 3)
