from __future__ import annotations

import pytest

from lrsearch.errors import Conflict, InvalidInput, NotFound
from lrsearch.study import ArmResult, Comparison, ComparisonResult, Curve

CURVE = Curve(x=(1.0, 2.0), mean=(0.5, None), low=(0.1, None), high=(1.0, None))
ARM = ArmResult(name="a", final_values=(0.25, None), median=0.25, by_trials=CURVE, by_epochs=CURVE)
RESULT = ComparisonResult(finished_repeats=1, arms=(ARM,), duels=(), verdict="no significant difference")


@pytest.fixture
def comparison(spec, moment):
    def make(name="c", **fields):
        arms = [{"name": "a", "sampler": "random"}, {"name": "b", "sampler": {"name": "tpe", "seed": 3}}]
        its = {"name": name, "spec": spec(name), "arms": arms, "repeats": 2}
        whole = {"name": name, "owner": "local", "state": "queued", "studies": (), "progress": {}, "created_at": moment}
        return Comparison.model_validate(whole | {"spec": its} | fields)

    return make


def test_a_comparison_comes_back_with_its_studies(store, comparison, study):
    with store.transaction() as tx:
        tx.comparisons.add(comparison("c", owner="ann", result=RESULT))
        for name, state in (("c.b", "running"), ("c.a", "completed"), ("c.0", "running")):
            tx.studies.add(study(name, state=state, comparison="c"))
        tx.studies.add(study("alone"))
    with store.transaction() as tx:
        read = tx.comparisons.get("c")
        assert [its.name for its in tx.studies.of_comparison("c")] == ["c.b", "c.a", "c.0"]
        assert tx.studies.of_comparison("other") == []
    found = {"studies": ("c.b", "c.a", "c.0"), "progress": {"completed": 1, "running": 2}}
    assert read == comparison("c", owner="ann", result=RESULT, **found)


def test_names_are_taken_once(store, comparison):
    with store.transaction() as tx:
        tx.comparisons.add(comparison("c"))
        with pytest.raises(Conflict, match="`c`"):
            tx.comparisons.add(comparison("c", owner="ann"))
        assert tx.comparisons.find("c") == comparison("c")
        assert tx.comparisons.find("d") is None


def test_change(store, comparison):
    with store.transaction() as tx:
        tx.comparisons.add(comparison("c"))
        tx.comparisons.change("c", result=RESULT)
        tx.comparisons.change("c", state="running")
        assert tx.comparisons.get("c") == comparison("c", state="running", result=RESULT)
        with pytest.raises(InvalidInput, match="state"):
            tx.comparisons.change("c", state="bogus")


def test_a_missing_comparison(store):
    with store.transaction() as tx:
        for verb in (tx.comparisons.get, tx.comparisons.change):
            with pytest.raises(NotFound, match="no comparison `c`"):
                verb("c")


def test_a_study_of_an_unknown_comparison_is_refused(store, study):
    with pytest.raises(Conflict), store.transaction() as tx:
        tx.studies.add(study("s", comparison="nobody"))


def test_pages(store, comparison):
    states = ["queued", "completed", "running", "failed", "queued"]
    with store.transaction() as tx:
        for n, state in enumerate(states):
            tx.comparisons.add(comparison(f"c{n}", state=state))
        first = tx.comparisons.page(limit=3)
        assert [its.name for its in first.items] == ["c4", "c3", "c2"]
        second = tx.comparisons.page(limit=3, cursor=first.next)
        assert ([its.name for its in second.items], second.next) == (["c1", "c0"], None)
