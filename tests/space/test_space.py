from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.resolve import resolve
from lrsearch.schedules import FAMILIES
from lrsearch.space import Space
from lrsearch.study import StudySpec

SpecOf = Callable[..., StudySpec]
SEVERAL = {
    "family": ["step", "exponential", "cosine"],
    "initial_lr": {"low": 0.001, "high": 1, "log": True, "num": 4},
    "decay_rate": [0.1, 0.5, 0.9],
    "step_size": {"low": 1, "high": 3},
    "warmup": [0, "20%"],
    "warmup_shape": "cosine",
}


def test_cells_are_every_combination_once(spec_of: SpecOf) -> None:
    space = Space(resolve(spec_of(SEVERAL), None))
    assert space.n_cells == 4 * 3 * 3 * 2 + 4 * 3 * 3 * 2 + 4 * 2
    cells = [space.cell(index) for index in range(space.n_cells)]
    assert len({str(cell) for cell in cells}) == space.n_cells
    assert cells[0] == {"family": "step", "initial_lr": 0.001, "warmup": 0, "decay_rate": 0.1, "step_size": 1}
    assert cells[-1] == {"family": "cosine", "initial_lr": 1.0, "warmup": 2}
    for cell in cells:
        schedule = space.schedule(cell)
        assert schedule.warmup_shape == "cosine"
        assert schedule.epochs == 10
        assert space.params_of(schedule) == cell
    with pytest.raises(IndexError):
        space.cell(space.n_cells)


def test_one_family_is_not_among_the_params(spec_of: SpecOf) -> None:
    space = Space(spec_of({"family": "cosine", "initial_lr": [0.1, 0.2], "warmup": 1}))
    assert [space.cell(index) for index in range(2)] == [{"initial_lr": 0.1}, {"initial_lr": 0.2}]
    assert space.schedule({"initial_lr": 0.2}).model_dump()["warmup"] == 1
    assert space.schedule({"family": "cosine", "initial_lr": 0.2}) == space.schedule({"initial_lr": 0.2})


def test_the_order_of_writing_changes_nothing(spec_of: SpecOf) -> None:
    turned = {"family": SEVERAL["family"], **dict(reversed(SEVERAL.items()))}
    one, other = Space(resolve(spec_of(SEVERAL), None)), Space(resolve(spec_of(turned), None))
    assert [one.cell(index) for index in range(20)] == [other.cell(index) for index in range(20)]


@given(seed=st.integers(0, 2**32 - 1))
def test_all_ways_to_a_point_lead_to_the_same_schedule(seed: int, spec_of: SpecOf) -> None:
    space = Space(resolve(spec_of(SEVERAL), None))
    assert space.n_cells is not None
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    params = space.suggest(trial)
    assert params in [space.cell(index) for index in range(space.n_cells)]
    assert space.observed(params) == trial.params


def test_shared_names_are_one_parameter_and_defaults_their_familys_own(spec_of: SpecOf) -> None:
    def labels(declared: dict[str, Any]) -> set[str]:
        families = ["step", "exponential", "cosine"]
        space = Space(resolve(spec_of({"family": families, "initial_lr": [0.1, 0.2], **declared}), None))
        asked = set()
        for family in families:
            drawn = optuna.trial.FixedTrial(
                {"family": family, "initial_lr": 0, "decay_rate": 0, "step_size": 0}
                | {"step.decay_rate": 0, "exponential.decay_rate": 0.6}
            )
            space.suggest(drawn)
            asked |= set(drawn.params)
        return asked

    assert labels({"decay_rate": [0.1, 0.5, 0.9]}) == {"family", "initial_lr", "decay_rate", "step_size"}
    assert labels({}) == {"family", "initial_lr", "step.decay_rate", "exponential.decay_rate", "step_size"}


def test_params_keep_the_plain_names(spec_of: SpecOf) -> None:
    space = Space(resolve(spec_of({"family": ["step", "exponential"], "initial_lr": 0.1}), None))
    params = {"family": "exponential", "decay_rate": 0.77}
    assert space.observed(params) == {"family": "exponential", "exponential.decay_rate": 0.77}
    assert space.schedule(params).model_dump()["decay_rate"] == 0.77


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"initial_lr": 0.1}, "params.family"),
        ({"family": "constant", "initial_lr": 0.1}, "params.family"),
        ({"family": ["cosine"], "initial_lr": 0.1}, "params.family"),
        ({"family": "cosine", "initial_lr": 0.1}, "params.warmup"),
        ({"family": "cosine", "initial_lr": 0.1, "warmup": 0, "decay_rate": 0.1}, "params.decay_rate"),
        ({"family": "cosine", "initial_lr": 0.1, "warmup": 0, "warmup_shape": "cosine"}, "params.warmup_shape"),
        ({"family": "cosine", "initial_lr": 0.11, "warmup": 0}, "params.initial_lr"),
        ({"family": "cosine", "initial_lr": "0.1", "warmup": 0}, "params.initial_lr"),
        ({"family": "cosine", "initial_lr": 0.1, "warmup": 0, "epochs": 3}, "params.epochs"),
    ],
)
def test_params_outside_of_the_space_are_refused(params: dict[str, Any], field: str, spec_of: SpecOf) -> None:
    space = Space(resolve(spec_of(SEVERAL), None))
    with pytest.raises(InvalidInput) as refused:
        space.schedule(params)
    assert [fault.field for fault in refused.value.faults] == [field]


def test_baselines_may_lie_anywhere(spec_of: SpecOf) -> None:
    space = Space(resolve(spec_of(SEVERAL), None))
    baseline = space.baseline({"family": "constant", "initial_lr": 5, "warmup": "10%"})
    assert baseline.model_dump(mode="json")["warmup"] == 1
    assert baseline.epochs == 10
    assert space.params_of(baseline) is None
    inside = space.baseline({"family": "cosine", "initial_lr": 0.1, "warmup": "20%", "warmup_shape": "cosine"})
    assert space.params_of(inside) == {"family": "cosine", "initial_lr": 0.1, "warmup": 2}
    assert space.params_of(space.baseline({"family": "cosine", "initial_lr": 0.1, "warmup": 2})) is None
    assert space.baseline({"family": "constant", "initial_lr": 5, "epochs": 10}).epochs == 10
    for data in ({"family": "constant", "initial_lr": 5, "epochs": 11}, {"family": "no"}, {"family": "step"}):
        with pytest.raises(InvalidInput):
            space.baseline(data)


def test_fields_that_say_what_is_fixed_anyway_are_observed(spec_of: SpecOf) -> None:
    space = Space(spec_of({"family": "cosine", "initial_lr": [0.1, 0.2], "warmup": 1}))
    assert space.observed({"family": "cosine", "initial_lr": 0.2, "warmup": 1}) == {"initial_lr": 1}
    assert space.observed({"initial_lr": 0.2, "warmup": 2}) is None
    assert space.observed({"initial_lr": 0.2, "final_factor": 0.5}) is None
    assert space.observed({}) is None


@pytest.mark.parametrize(
    ("declared", "fields"),
    [
        ({"decay_rate": 1.5}, ["space.decay_rate"]),
        ({"decay_rate": [0.5, 0]}, ["space.decay_rate"]),
        ({"decay_rate": {"low": 0, "high": 0.5}}, ["space.decay_rate"]),
        ({"decay_rate": None}, ["space.decay_rate"]),
        ({"decay_rate": "10%"}, ["space.decay_rate"]),
        ({"decay_rate": {"low": "10%", "high": "20%"}}, ["space.decay_rate"]),
        ({"decay_rate": [0.5, 0.5]}, ["space.decay_rate"]),
        ({"decay_rate": [[0.5], 0.2]}, ["space.decay_rate"]),
        ({"decay_rate": {"value": [0.5]}}, ["space.decay_rate"]),
        ({"decay_rate": True}, ["space.decay_rate"]),
        ({"initial_lr": {"low": 0, "high": 1}}, ["space.initial_lr"]),
        ({"initial_lr": -1, "final_factor": 2}, ["space.initial_lr", "space.final_factor"]),
        ({"warmup_shape": ["linear", "round"]}, ["space.warmup_shape"]),
        ({"warmup_shape": {"low": 0, "high": 1}}, ["space.warmup_shape"]),
        ({"warmup": [0, 10]}, ["space.warmup"]),
        ({"warmup": [0, "100%"]}, ["space.warmup"]),
        ({"warmup": {"low": 1, "high": 10}}, ["space.warmup"]),
        ({"warmup": {"low": "1", "high": 2}}, ["space.warmup"]),
        ({"warmup": {"low": 0.5, "high": 3, "log": True}}, ["space.warmup"]),
        ({"step_size": [0, 1]}, ["space.step_size"]),
        ({"step_size": -1}, ["space.step_size"]),
        ({"warmup_start": [0, 0.5], "warmup_shape": ["linear", "exponential"]}, ["space.warmup_start"]),
        ({"warmup_start": {"low": 0, "high": 0.5}, "warmup_shape": "exponential"}, ["space.warmup_start"]),
    ],
)
def test_declarations_that_break_a_law(declared: dict[str, Any], fields: list[str], spec_of: SpecOf) -> None:
    with pytest.raises(InvalidInput) as refused:
        Space(spec_of({"family": ["step", "exponential"], "initial_lr": 0.1, **declared}))
    assert [fault.field for fault in refused.value.faults] == fields


def test_whole_updates_are_checked_where_they_are_known(spec_of: SpecOf) -> None:
    short = spec_of({"family": "step", "initial_lr": 0.1, "step_size": [0.01, 1]})
    Space(short, 100)
    Space(short)
    with pytest.raises(InvalidInput, match="at least one update"):
        Space(short, 10)
    late = spec_of({"family": "cosine", "initial_lr": 0.1, "warmup": 9.9})
    Space(late, 10)
    with pytest.raises(InvalidInput, match="must end before the horizon"):
        Space(late, 3)
    in_updates = {"epochs": None, "updates": 100, "eval_every": 10}
    with pytest.raises(InvalidInput, match="at least one update"):
        Space(spec_of({"family": "step", "initial_lr": 0.1, "step_size": [0.4, 20]}, **in_updates))


def test_every_family_can_be_searched_by_its_name_alone(spec_of: SpecOf) -> None:
    for family in FAMILIES:
        space = Space(resolve(spec_of({"family": family, "initial_lr": {"low": 0.1, "high": 1}}), None), 7)
        assert set(space.dimensions(family)) == {"initial_lr", *FAMILIES[family].SEARCH}
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for _ in range(20):
            schedule = space.schedule(space.suggest(study.ask()))
            schedule.lr_table(7, history=schedule.improving(7))


def test_a_grid_refuses_ranges_without_points_but_lengths(spec_of: SpecOf) -> None:
    space = {"family": "step", "initial_lr": {"low": 0.1, "high": 1}, "decay_rate": {"low": 0.1, "high": 0.5}}
    assert Space(spec_of(space)).n_cells is None
    with pytest.raises(InvalidInput) as refused:
        Space(spec_of(space, sampler="grid"))
    assert [fault.field for fault in refused.value.faults] == ["space.initial_lr", "space.decay_rate"]
    points = {"family": "step", "initial_lr": {"low": 0.1, "high": 1, "num": 3}, "decay_rate": [0.1, 0.5]}
    assert Space(spec_of(points, sampler="grid")).n_cells == 3 * 2 * 5


def test_a_huge_grid_needs_a_budget_and_then_no_memory(spec_of: SpecOf) -> None:
    points = {"low": 0.001, "high": 1, "num": 1000}
    space = {
        "family": "cosine",
        "initial_lr": points,
        "final_factor": points,
        "warmup_start": points,
        "warmup": {"low": 0.001, "high": 9, "num": 1000},
    }
    with pytest.raises(InvalidInput) as refused:
        Space(spec_of(space, sampler="grid"))
    assert [fault.field for fault in refused.value.faults] == ["budget.trials"]
    spec = spec_of(space, sampler="grid", budget={"trials": 5})
    Space(spec)
    tracemalloc.start()
    huge = resolve(spec, None)
    made = Space(huge)
    cells = [made.cell(index) for index in (0, 10**12 - 1, 123_456_789_012)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.n_cells == 10**12
    assert len({str(cell) for cell in cells}) == 3
    assert cells[1] == {"initial_lr": 1.0, "final_factor": 1.0, "warmup": 9.0, "warmup_start": 1.0}
    assert peak < 2_000_000
