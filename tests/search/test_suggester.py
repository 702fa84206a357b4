from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.schedules import Schedule
from lrsearch.search import Suggester
from lrsearch.search.quiet import quiet
from lrsearch.search.samplers import SAMPLERS, Tpe
from lrsearch.space import Space
from lrsearch.study import Outcome, StudySpec

MakeSpec = Callable[..., StudySpec]
Run = Callable[..., list[Outcome]]
Objective = Callable[[Schedule], float | None]

POINTS = {
    "family": ["step", "cosine", "constant"],
    "initial_lr": {"low": 1e-3, "high": 1, "log": True, "num": 4},
    "decay_rate": [0.1, 0.5, 0.9],
    "step_size": {"low": 1, "high": 4},
    "final_factor": [0, 0.1],
}
MIXED = {**POINTS, "initial_lr": {"low": 1e-3, "high": 10, "log": True}, "warmup_shape": ["linear", "cosine"]}


def outcomes(spec: StudySpec, count: int, seed: int) -> list[Outcome]:
    """Trials of every state and origin, inside of the space and outside."""
    draw = random.Random(seed)
    history = []
    suggester = Suggester(spec.model_copy(update={"sampler": spec.sampler.model_copy(update={"name": "random"})}))
    for number in range(count):
        params = suggester.suggest(number, [])
        assert params is not None
        state = draw.choices(["completed", "diverged", "pruned", "failed", "cancelled"], weights=[8, 2, 2, 1, 1])[0]
        value = draw.choice([draw.random(), 0.5]) if state == "completed" else None
        if draw.random() < 0.1:
            params = {"family": "exponential", "initial_lr": 5.0, "decay_rate": 0.3}
        origin = draw.choice(["sampler", "sampler", "baseline", "enqueued", "imported"])
        history.append(Outcome(number, state, value, params, origin))
    return history


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_suggestions_lie_in_the_space(name: str, make_spec: MakeSpec) -> None:
    spec = make_spec(name, space=POINTS)
    space, suggester = Space(spec), Suggester(spec)
    history: list[Outcome] = []
    for number in range(30):
        params = suggester.suggest(number, history)
        assert params is not None
        assert space.params_of(space.schedule(params)) == params
        history.append(Outcome(number, "completed", number / 30, params, "sampler"))


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_the_seed_draws_the_suggestions(name: str, make_spec: MakeSpec) -> None:
    history = [Outcome(n, "completed", 1.0, {}, "sampler") for n in range(4)]

    def first(seed: int) -> list[Any]:
        suggester = Suggester(make_spec(name, seed, space=POINTS))
        return [suggester.suggest(number, history) for number in range(4)]

    assert first(1) == first(1)
    assert len({str(first(seed)) for seed in range(20)}) == 20


def test_a_grid_is_walked_once(make_spec: MakeSpec) -> None:
    spec = make_spec("grid", space=POINTS)
    n_cells = Space(spec).n_cells
    assert n_cells == 4 * 3 * 4 * 2 + 4 * 2 + 4 * 2
    suggester = Suggester(spec)
    history = [Outcome(0, "completed", 1.0, {}, "baseline"), Outcome(1, "queued", None, {}, "enqueued")]
    seen = []
    while (params := suggester.suggest(len(history), history)) is not None:
        seen.append(params)
        history.append(Outcome(len(history), "failed", None, params, "sampler"))
    assert len(seen) == n_cells
    cells = [Space(spec).cell(i) for i in range(n_cells)]
    assert sorted(map(str, seen)) == sorted(map(str, cells))
    assert seen != cells
    assert Suggester(spec).suggest(12, history) == seen[10]


def test_a_grid_of_any_size_answers_at_once(make_spec: MakeSpec) -> None:
    points = {"num": 1000, "low": 0.001, "high": 1}
    space = {
        "family": "step",
        "initial_lr": points,
        "decay_rate": points,
        "final_factor": points,
        "warmup_start": points,
        "step_size": {"low": 1, "high": 10},
    }
    spec = make_spec("grid", space=space, budget={"trials": 10})
    assert Space(spec).n_cells == 10**13
    suggester = Suggester(spec)
    assert len({str(suggester.suggest(n, [])) for n in range(3)}) == 1  # no trial was drawn before
    history = outcomes(make_spec("random", space=space), 300, 0)
    history = [outcome._replace(origin="sampler") for outcome in history]
    drawn = [suggester.suggest(number, history) for number in range(300)]
    assert len({str(params) for params in drawn}) == 300
    assert len({params["initial_lr"] for params in drawn if params}) > 200


@pytest.mark.parametrize("space", [POINTS, MIXED], ids=["points", "mixed"])
@settings(max_examples=15)
@given(seed=st.integers(0, 1000), count=st.integers(0, 60), data=st.data())
def test_a_fresh_suggester_suggests_the_same(
    space: dict[str, Any], make_spec: MakeSpec, seed: int, count: int, data: st.DataObject
) -> None:
    spec = make_spec("tpe", seed, space=space)
    history = outcomes(spec, count, seed)
    other = outcomes(spec, count, seed + 1)
    lived = Suggester(spec)
    # forwards, back and through another past
    for number in data.draw(st.lists(st.integers(0, count), max_size=6)):
        lived.suggest(number, data.draw(st.sampled_from([history, other])))
    assert lived.suggest(count, history) == Suggester(spec).suggest(count, history)


def test_what_the_window_hides_changes_nothing(make_spec: MakeSpec) -> None:
    spec = make_spec("tpe", space=MIXED)
    suggester = Suggester(spec)
    history = outcomes(spec, 40, 0)
    hidden = [
        outcome._replace(state="running", value=None) if outcome.number > 40 - 8 else outcome for outcome in history
    ]
    assert suggester.suggest(40, hidden) == suggester.suggest(40, history)
    changed = 0
    for number in range(30, 41):
        last = number - 8
        better = [o._replace(state="completed", value=-1.0) if o.number == last else o for o in history]
        changed += suggester.suggest(number, better) != suggester.suggest(number, history)
    assert changed > 3
    assert suggester.suggest(40, [*history, *outcomes(spec, 50, 1)[40:]]) == suggester.suggest(40, history)


@pytest.mark.parametrize("lanes", [1, 3, 8, 20])
def test_suggestions_depend_neither_on_workers_nor_on_restarts(
    lanes: int, make_spec: MakeSpec, run: Run, objective: Objective
) -> None:
    spec = make_spec("tpe")
    alone = run(spec, 30, objective)
    durations = random.Random(lanes)
    crowd = run(spec, 30, objective, lanes=lanes, order=lambda n: durations.random(), suggester=lambda: Suggester(spec))
    assert crowd == alone


def test_can_suggest_waits_for_the_window(make_spec: MakeSpec) -> None:
    suggester = Suggester(make_spec("tpe"))
    history = [Outcome(n, "completed", 1.0, {}, "sampler") for n in range(20)]
    assert suggester.can_suggest(20, history)
    assert suggester.can_suggest(7, [])
    assert not suggester.can_suggest(8, [])
    for number, needed in ((12, True), (13, False)):
        waiting = [o._replace(state="running") if o.number == number else o for o in history]
        assert suggester.can_suggest(20, waiting) is not needed
    assert Suggester(make_spec("random")).can_suggest(20, [])
    pruned = make_spec("random", pruner="median")
    assert not Suggester(pruned).can_suggest(20, [])


def stock(spec: StudySpec, number: int, history: list[Outcome]) -> dict[str, Any]:
    """The suggestion of Optuna's own sampler over a study built with Optuna's own calls."""
    space = Space(spec)
    with quiet():
        sampler = optuna.samplers.TPESampler(
            seed=Tpe(space).seed_of(number),
            n_startup_trials=Tpe.STARTUP_TRIALS,
            n_ei_candidates=Tpe.CANDIDATES,
            multivariate=True,
            group=True,
            constant_liar=True,
        )
        study = optuna.create_study(sampler=sampler)
        values = [o.value for o in history if o.number <= number - 8 and o.value is not None]
        for outcome in history:
            drawn = space.observed(outcome.params)
            trial = study.ask()
            if drawn is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            study._storage.set_trial_system_attr(trial._trial_id, "fixed_params", drawn)
            trial._fixed_params = drawn
            space.suggest(trial)
            if outcome.number > number - 8:
                continue
            value = max(values, default=None) if outcome.state == "diverged" else outcome.value
            if outcome.state == "pruned":
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            elif value is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, value)
        return space.suggest(study.ask())


@pytest.mark.parametrize("space", [POINTS, MIXED], ids=["points", "mixed"])
@pytest.mark.parametrize("count", [5, 25, 60])
def test_tpe_is_optunas_own(space: dict[str, Any], count: int, make_spec: MakeSpec) -> None:
    for seed in range(3):
        spec = make_spec("tpe", seed, space=space)
        history = outcomes(spec, count, seed)
        assert Suggester(spec).suggest(count, history) == stock(spec, count, history)


def test_divergence_counts_as_the_worst_value_seen(make_spec: MakeSpec) -> None:
    spec = make_spec("tpe")
    history = outcomes(make_spec("random"), 40, 3)
    worst = max(o.value for o in history if o.number <= 32 and o.value is not None)
    told = [o._replace(state="completed", value=worst) if o.state == "diverged" else o for o in history]
    assert told != history
    suggester = Suggester(spec)
    assert suggester.suggest(40, history) == suggester.suggest(40, told)
    # while nothing finite has been seen, divergence is left out
    lost = [o._replace(state="diverged", value=None) for o in history]
    failed = [o._replace(state="failed", value=None) for o in history]
    assert suggester.suggest(40, lost) == suggester.suggest(40, failed)


def test_maximising_mirrors_minimising(make_spec: MakeSpec) -> None:
    spec = make_spec("tpe")
    up = spec.model_copy(update={"objective": spec.objective.model_copy(update={"direction": "maximize"})})
    history = outcomes(spec, 40, 5)
    mirrored = [o if o.value is None else o._replace(value=-o.value) for o in history]
    assert Suggester(up).suggest(40, mirrored) == Suggester(spec).suggest(40, history)


def test_a_space_with_nothing_to_vary(make_spec: MakeSpec) -> None:
    space = {"family": "cosine", "initial_lr": 0.1}
    for name in SAMPLERS:
        assert Suggester(make_spec(name, space=space)).suggest(0, []) == {}
    history = [Outcome(0, "completed", 1.0, {}, "sampler")]
    assert Suggester(make_spec("grid", space=space)).suggest(1, history) is None


def test_optuna_is_quiet_for_us_only(make_spec: MakeSpec, caplog: pytest.LogCaptureFixture) -> None:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.enable_propagation()
    try:
        with caplog.at_level(logging.INFO):
            Suggester(make_spec("tpe")).suggest(0, [])
            assert not caplog.records
            optuna.create_study()
            assert caplog.records
    finally:
        optuna.logging.disable_propagation()
    assert optuna.logging.get_verbosity() == verbosity
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        optuna.samplers.TPESampler(multivariate=True, group=True)


def test_random_and_the_start_of_tpe_draw_the_same(make_spec: MakeSpec) -> None:
    draws = [[Suggester(make_spec(name, 4)).suggest(n, []) for n in range(5)] for name in ("random", "tpe")]
    assert draws[0] == draws[1]


def test_log_ranges_are_drawn_evenly_in_the_logarithm(make_spec: MakeSpec) -> None:
    suggester = Suggester(make_spec("random"))
    drawn = [suggester.suggest(n, []) for n in range(400)]
    below = sum(math.log10(params["initial_lr"]) < -1 for params in drawn if params)  # type: ignore[arg-type]
    assert 160 < below < 240
