"""Previews: what is said of a study before it is one."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.schedules import FAMILIES, Schedule
from lrsearch.service import Service
from lrsearch.service.look import Look
from lrsearch.study import StudySpec

WARM = "warm-up takes more"
FIRES = "never fires"
SWITCHES = "never takes over"
NONE = "decay of 1"
BELOW = "float resolution"
SAME = "same curve"


def look(*fields: dict[str, Any], per_epoch: int | None = 10, precision: str = "float32") -> Look:
    whole = [Schedule.model_validate({"initial_lr": 0.1, "epochs": 10, **one}) for one in fields]
    return Look(whole, per_epoch, precision, shown=len(whole))


@pytest.mark.parametrize(
    ("told", "fields"),
    [
        (None, {"family": "cosine", "warmup": 5}),
        (WARM, {"family": "cosine", "warmup": 5.1}),
        (None, {"family": "step", "decay_rate": 0.5, "step_size": 9.9}),
        (FIRES, {"family": "step", "decay_rate": 0.5, "step_size": 10}),
        (FIRES, {"family": "step", "decay_rate": 0.5, "step_size": 8, "warmup": 2}),
        (None, {"family": "step", "decay_rate": 0.5, "step_size": 7.9, "warmup": 2}),
        (FIRES, {"family": "multistep", "decay_rate": 0.5, "milestones": [2, 8], "warmup": 2}),
        (None, {"family": "multistep", "decay_rate": 0.5, "milestones": [2, 7], "warmup": 2}),
        (FIRES, {"family": "piecewise", "factors": [0.5, 0.2], "milestones": [2, 10], "between": "step"}),
        (None, {"family": "piecewise", "factors": [0.5, 0.2], "milestones": [2, 10]}),
        (FIRES, {"family": "plateau", "decay_rate": 0.5, "patience": 9}),
        (None, {"family": "plateau", "decay_rate": 0.5, "patience": 3}),
        (None, {"family": "plateau", "decay_rate": 0.5, "patience": 3, "direction": "maximize"}),
        (None, {"family": "constant"}),
        (SWITCHES, {"family": "cosine", "switch_to": "sgd", "switch_at": 10}),
        (None, {"family": "cosine", "switch_to": "sgd", "switch_at": 9}),
        (NONE, {"family": "step", "decay_rate": 1, "step_size": 3}),
        (NONE, {"family": "plateau", "decay_rate": 1, "patience": 30}),
        (NONE, {"family": "cosine", "final_factor": 1}),
        (None, {"family": "exponential", "decay_rate": 0.4}),
        (BELOW, {"family": "exponential", "decay_rate": 0.01}),
        (BELOW, {"family": "constant", "initial_lr": 1e-9}),
        (None, {"family": "cosine", "initial_lr": 1e-3}),
    ],
)
def test_what_is_hardly_meant_is_told(told: str | None, fields: dict[str, Any]) -> None:
    warnings = look(fields).warnings(of=1)
    assert [told in warning for warning in warnings] == ([] if told is None else [True])


def test_parameter_groups_are_looked_at_too() -> None:
    groups = {"head": {"family": "step", "initial_lr": 0.2, "decay_rate": 0.5, "step_size": 10}}
    found = look({"family": "cosine", "groups": groups}, {"family": "cosine"})
    assert [told.partition(":")[0] for told in found.warnings(2)] == ["a step never fires"]
    np.testing.assert_array_equal(found.seen[0].groups["head"], np.full(len(found.updates), 0.2))
    assert found.seen[1].groups == {}


def test_rates_are_held_against_the_weights_type() -> None:
    small = {"family": "constant", "initial_lr": 1e-9}
    assert look(small).warnings(of=1)
    assert look(small, precision="float64").warnings(of=1) == []


def test_equal_curves_are_counted_whatever_they_are_called() -> None:
    constant, step = {"family": "constant"}, {"family": "step", "decay_rate": 0.5, "step_size": 10}
    seen = look(constant, step, {**step, "decay_rate": 0.1}, {"family": "cosine"})
    assert seen.n_repeated() == 2
    assert f"2 of the first 4 schedules have the {SAME} as an earlier one" in seen.warnings(of=9)[-1]
    # alike at every update that is looked at, and yet not the same
    steps = [{"family": "step", "decay_rate": 0.5, "step_size": 0.003 + n / 1000, "epochs": 2} for n in (0, 1)]
    apart = look(*steps, {"family": "constant", "epochs": 2}, per_epoch=1000)
    assert apart.n_repeated() == 0


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_has_a_preview_that_its_first_trials_keep(
    family: str, service: Service, toy: Any, spec: Any
) -> None:
    toy().ask(hold=0)
    space = {"family": family, "initial_lr": [0.05, 0.2], "warmup": [1, 2]}
    draft: StudySpec = spec(space=space, epochs=6, sampler="random", budget={"trials": 20})
    before = service.preview(draft)
    assert service.studies().items == ()
    assert (before.trials, before.epochs_asked, before.looked_at, before.updates_per_epoch) == (20, 120, 20, 4)
    assert (before.updates[0], before.updates[-1], len(before.curves)) == (0, 23, 16)
    low, high = np.array(before.low), np.array(before.high)
    assert ((low >= 0) & (low <= high)).all()
    assert high.max() == 0.2
    for curve in before.curves:
        rates = np.array(curve.lr)
        assert ((low <= rates) & (rates <= high)).all()
        history = curve.schedule.improving(4)
        np.testing.assert_array_equal(rates, curve.schedule.lr(np.array(before.updates), 4, history=history))
    service.create(draft)
    assert service.study("s").spec == before.spec
    toy().work(hold=4)
    made = [(trial.params, trial.schedule) for trial in service.trials("s", limit=16).items]
    assert made == [(curve.params, curve.schedule) for curve in before.curves]


@given(st.data())
def test_curves_lie_in_their_envelope_and_keys_count_them(schedules: Any, data: st.DataObject) -> None:
    schedule, per_epoch = data.draw(schedules())
    twice = Look([schedule, schedule], per_epoch, "float32", shown=2)
    low, high = twice.envelope()
    np.testing.assert_array_equal(low, high)
    np.testing.assert_array_equal(low, schedule.lr_table(per_epoch)[list(twice.updates)])
    assert twice.n_repeated() == 1
    if schedule.clock(per_epoch).horizon <= 241:
        assert high.max() == schedule.lr_table(per_epoch).max()


HUGE = {
    "family": ["step", "cosine_restarts"],
    "initial_lr": {"low": 1e-4, "high": 1, "log": True, "num": 1000},
    "decay_rate": {"low": 0.1, "high": 0.9, "num": 1000},
    "warmup_start": {"low": 0.01, "high": 0.5, "num": 1000},
    "step_size": {"low": 1, "high": 50},
    "final_factor": {"low": 0.001, "high": 0.1, "num": 1000},
    "warmup": {"low": 1, "high": 5},
}


@pytest.mark.parametrize("trials", [500, 10**12])
def test_a_grid_of_any_size_is_sampled(service: Service, toy: Any, spec: Any, trials: int) -> None:
    toy().ask(hold=0)
    huge = spec(space=HUGE, sampler="grid", epochs=60, budget={"trials": trials})
    service.preview(huge)
    begun = time.process_time()
    found = service.preview(huge)
    print(f"{time.process_time() - begun:.3f} s")
    assert found.cells is not None
    assert found.cells > 10**12
    assert (found.trials, found.epochs_asked, found.epochs_distinct) == (trials, trials * 60, None)
    assert found.looked_at == 128
    with pytest.raises(InvalidInput, match="needs a trial budget"):
        service.preview(spec(space=HUGE, sampler="grid", epochs=60, budget={}))


def test_a_grids_epochs_are_those_that_are_trained(service: Service, toy: Any, spec: Any) -> None:
    toy().ask(hold=0)
    space = {"family": "step", "initial_lr": [0.1, 0.2], "decay_rate": 0.5, "step_size": [1, 2, 3, 4]}
    grid = spec(space=space, sampler="grid", budget={"trials": 100}, train={"seeds": 2})
    found = service.preview(grid)
    assert (found.cells, found.trials, found.epochs_asked, found.epochs_distinct) == (8, 8, 48, 24)
    assert found.epochs_distinct == service.cost(grid).epochs_distinct
    assert [SAME in warning for warning in found.warnings] == [False, True]
    assert "2 of 8 schedules have the same curve" in found.warnings[1]


def test_time_is_told_from_earlier_studies_of_the_recipe(service: Service, toy: Any, spec: Any) -> None:
    toy().ask(hold=0)
    assert service.preview(spec()).seconds is None
    service.create(spec())
    with service.store.transaction() as tx:
        tx.studies.change("s", update_seconds=0.25)
    toy().work()
    assert service.preview(spec(name="t")).seconds == 4 * 3 * 4 * 0.25
    assert service.preview(spec(name="t", options={"width": 9})).seconds is None


def test_a_range_that_is_yet_to_be_found_is_the_whole_sweep(service: Service, toy: Any, spec: Any) -> None:
    toy().ask(hold=0)
    auto = spec(space={"family": "constant", "initial_lr": "auto"}, sampler="random", budget={"trials": 40})
    found = service.preview(auto)
    assert (found.trials, found.epochs_asked, found.epochs_distinct) == (40, 120, None)
    assert "range test" in found.warnings[0]
    assert 1e-6 <= min(found.low) < 1e-3 < 1 < max(found.high) <= 10
    assert service.cost(auto).epochs_distinct is None


def test_unknown_tasks_and_your_own_loop(service: Service, toy: Any, spec: Any) -> None:
    unknown = service.preview(spec())
    assert (unknown.trials, unknown.epochs_asked, unknown.curves) == (4, None, ())
    assert "no worker has offered" in unknown.warnings[0]
    offered = service.preview(spec(), offer=toy().offers[0])
    assert offered.updates_per_epoch == 4
    own = {"task": "external", "objective": {"metric": "loss", "direction": "minimize"}}
    loop = service.preview(spec(**own))
    assert (loop.updates_per_epoch, loop.drawn_per_epoch, loop.updates[-1], loop.epochs_asked) == (None, 100, 299, 12)
    updates = service.preview(spec(**own, epochs=None, updates=25, eval_every=10))
    assert (updates.drawn_per_epoch, updates.updates[-1], updates.epochs_asked) == (None, 24, 12)


def test_long_horizons_and_open_budgets_are_looked_at_too(service: Service, toy: Any, spec: Any) -> None:
    toy().ask(hold=0)
    longest = {"epochs": None, "updates": 10**9, "eval_every": 10**4}
    families = {"family": ["step", "plateau"], "initial_lr": {"low": 1e-3, "high": 1.0, "log": True}}
    assert service.preview(spec(**longest, space=families)).looked_at == 1
    assert service.preview(spec(**longest)).looked_at == 4
    open_end = service.preview(spec(budget={"hours": 1}))
    assert (open_end.trials, open_end.epochs_asked, open_end.looked_at) == (None, None, 128)
    with pytest.raises(InvalidInput, match="warm-up"):
        service.preview(spec(space={"family": "cosine", "warmup": 3}))
