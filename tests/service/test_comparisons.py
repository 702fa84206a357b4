from __future__ import annotations

import pytest

from lrsearch.errors import Conflict, InvalidInput
from lrsearch.study import ComparisonSpec

POINTS = {"family": "cosine", "initial_lr": [0.001, 0.01, 0.1, 1.0], "final_factor": [0, 0.5]}


@pytest.fixture
def compared(spec):
    def make(**fields):
        body = spec(name=None, space=POINTS, budget={"trials": 5}).model_dump(mode="json")
        arms = [{"name": name, "sampler": name} for name in ("grid", "random", "tpe")]
        return ComparisonSpec.read({"name": "c", "spec": body, "arms": arms, "repeats": 3} | fields)

    return make


def test_arms_are_paired_and_judged(service, toy, compared):
    toy().ask(hold=0)
    comparison, new = service.compare(compared())
    assert new
    assert len(comparison.studies) == 9
    assert comparison.result is None
    toy().work()
    comparison = service.comparison("c")
    assert comparison.state == "completed"
    assert comparison.progress == {"completed": 9}
    assert comparison.result.finished_repeats == 3
    assert [arm.name for arm in comparison.result.arms] == ["grid", "random", "tpe"]
    assert len(comparison.result.duels) == 3
    for repeat in range(3):
        seeds = {service.study(f"c.{arm}.{repeat}").spec.train.seed for arm in ("grid", "random", "tpe")}
        assert seeds == {repeat}
    orders = [[t.params for t in service.trials(f"c.grid.{r}").items] for r in range(3)]
    assert orders[0] != orders[1] != orders[2]
    for arm in comparison.result.arms:
        best = [service.best(f"c.{arm.name}.{r}")[0].value for r in range(3)]
        assert arm.final_values == pytest.approx(best)


def test_the_same_curve_is_not_trained_by_two_workers_at_once(service, toy, compared):
    toy().ask(hold=0)
    service.compare(compared(repeats=1))
    workers = [toy(f"w{n}") for n in range(4)]
    while service.comparison("c").state != "completed":
        for worker in workers:
            if not worker.held:
                worker.ask()
        held = [service.trial(a.study, a.trial).plan_key for w in workers for a in w.held]
        assert len(set(held)) == len(held)
        next(worker for worker in workers if worker.held).finish(hold=0)


def test_same_name_and_other_spec(service, toy, compared):
    toy().ask(hold=0)
    service.compare(compared())
    assert service.compare(compared())[1] is False
    with pytest.raises(Conflict):
        service.compare(compared(repeats=4))
    assert [item.name for item in service.comparisons().items] == ["c"]


def test_external_studies_and_twins_are_refused(compared, spec):
    with pytest.raises(InvalidInput):
        compared(arms=[{"name": "a", "sampler": "tpe"}, {"name": "a", "sampler": "grid"}])
    external = spec(task="external", objective={"metric": "m", "direction": "minimize"}).model_dump(mode="json")
    with pytest.raises(InvalidInput):
        compared(spec=external)


def test_a_comparison_ends_when_its_last_open_arm_is_deleted(service, toy, compared):
    toy().ask(hold=0)
    service.compare(compared(repeats=1))
    first, *others = service.comparison("c").studies
    for name in others:
        service.cancel(name)
    service.delete(first)
    assert service.comparison("c").state == "cancelled"


def test_a_comparison_that_does_not_fit_its_late_task_fails(service, toy, compared):
    spec = compared(repeats=1).model_dump(mode="json")
    spec["spec"]["objective"] = {"metric": "nothing_like_it"}
    service.compare(ComparisonSpec.read(spec))
    toy().ask()
    assert service.comparison("c").state == "failed"
