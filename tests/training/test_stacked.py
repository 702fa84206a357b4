"""Stacked optimisers: each agrees with its library's, and no lane knows of another."""

from __future__ import annotations

from functools import partial

import pytest
import pytorch_optimizer
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.study import OPTIMIZERS
from lrsearch.training.optimizers import OPTIMIZER_CLASSES, build_optimizer
from lrsearch.training.stacked import STACKED

SETTINGS = {
    "sgd": [
        {},
        {"weight_decay": 0.02},
        {"momentum": 0.9, "dampening": 0.3},
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
    ],
    "adam": [{}, {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}, {"amsgrad": True}, {"betas": (0.0, 0.0)}],
    "adamw": [{}, {"weight_decay": 0.0}, {"amsgrad": True, "weight_decay": 0.3}],
    "rmsprop": [
        {},
        {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1},
        {"momentum": 0.9},
        {"centered": True, "alpha": 0.8, "eps": 1e-2},
        {"centered": True, "momentum": 0.5, "weight_decay": 0.01, "eps": 1e-2},
    ],
    "adagrad": [{}, {"initial_accumulator_value": 0.1, "eps": 1e-3, "weight_decay": 0.1}],
    "ranger": [
        {},
        {"degenerated_to_sgd": True, "weight_decay": 0.1},
        {"use_gc": False, "k": 1, "alpha": 0.3},
        {"betas": (0.8, 0.9), "eps": 1e-3, "k": 13, "alpha": 1.0},
    ],
}
CASES = [
    pytest.param(name, settings, id=f"{name}-{number}")
    for name in STACKED
    for number, settings in enumerate(SETTINGS[name])
]
LIBRARY = {**OPTIMIZER_CLASSES, "ranger": pytorch_optimizer.Ranger}
SHAPES = [(), (1,), (17,), (5, 3), (4, 3, 3, 2), (1, 6), (4, 8)]
ALL = pytest.mark.parametrize(("name", "settings"), CASES)
GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])


class Problem:
    """Random quadratics with noise, one a lane, alike but for where they begin; rates differ by lane and update."""

    def __init__(self, n_lanes, n_updates, dtype, device="cpu"):
        draw = torch.Generator().manual_seed(n_updates)
        self.starts = [torch.randn(n_lanes, *shape, generator=draw, dtype=torch.float64) for shape in SHAPES]
        self.curvature = [torch.rand(shape, generator=draw, dtype=torch.float64) * 3 for shape in SHAPES]
        self.noise = [torch.randn(n_updates, *shape, generator=draw, dtype=torch.float64) for shape in SHAPES]
        self.rates = (torch.rand(n_updates, n_lanes, generator=draw, dtype=torch.float64) * 0.05).to(device, dtype)
        self.n_updates = n_updates
        for name in ("starts", "curvature", "noise"):
            setattr(self, name, [tensor.to(device, dtype) for tensor in getattr(self, name)])

    def fresh(self, lanes):
        return [start[lanes].clone() for start in self.starts]

    def gradients(self, parameters, update):
        return [p * c + n[update] for p, c, n in zip(parameters, self.curvature, self.noise, strict=True)]

    def run(self, optimizer, parameters, lanes, updates=None, disturb=lambda update, gradients: None):
        for update in updates or range(self.n_updates):
            gradients = self.gradients(parameters, update)
            disturb(update, gradients)
            optimizer.step(gradients, self.rates[update, lanes])


def optimizer_of(name, settings, parameters):
    return STACKED[name](OPTIMIZERS[name](**settings), parameters)


def equal(ones, others):
    return len(ones) == len(others) and all(
        torch.equal(a.nan_to_num(nan=7e7), b.nan_to_num(nan=7e7)) for a, b in zip(ones, others, strict=True)
    )


def test_every_optimizer_is_stacked_and_tested():
    assert STACKED.keys() == OPTIMIZERS.keys() == SETTINGS.keys()


def assert_agrees(name, settings, problem, build, tolerance=1e-12):
    """Every lane ends where the optimiser ``build(parameters)`` brings a model alone."""
    lanes = list(range(problem.rates.shape[1]))
    parameters = problem.fresh(lanes)
    problem.run(optimizer_of(name, settings, parameters), parameters, lanes)
    for lane in lanes:
        lone = [torch.nn.Parameter(start) for start in problem.fresh(lane)]
        optimizer = build(lone)
        for update in range(problem.n_updates):
            for parameter, gradient in zip(lone, problem.gradients([p.detach() for p in lone], update), strict=True):
                parameter.grad = gradient
            optimizer.param_groups[0]["lr"] = problem.rates[update, lane].item()
            optimizer.step()
        for stacked, expected in zip(parameters, lone, strict=True):
            assert (stacked[lane] - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1)


@ALL
@DEVICES
def test_it_agrees_with_its_library_lane_by_lane(name, settings, device):
    spec = OPTIMIZERS[name](**settings).model_dump(exclude={"name"})
    assert_agrees(name, settings, Problem(3, 200, torch.float64, device), partial(LIBRARY[name], lr=1.0, **spec))


@ALL
def test_it_agrees_with_the_optimizer_of_a_model_alone(name, settings):
    spec = OPTIMIZERS[name](**settings)
    assert_agrees(name, settings, Problem(2, 50, torch.float64), partial(build_optimizer, spec))


DRAWN = {
    "weight_decay": st.just(0.0) | st.floats(0, 0.5),
    "momentum": st.just(0.0) | st.floats(0, 0.9),
    "dampening": st.just(0.0) | st.floats(0, 0.9),
    "betas": st.tuples(st.floats(0, 0.99), st.floats(0.67, 0.9999)),
    "eps": st.floats(1e-3, 1.0),
    "alpha": st.floats(0.1, 0.999),
    "initial_accumulator_value": st.floats(0, 2),
    "k": st.integers(1, 30),
}


@pytest.mark.parametrize("name", STACKED)
@settings(max_examples=15)
@given(data=st.data())
def test_it_agrees_with_its_library_at_any_settings(name, data):
    drawn = {
        field: data.draw(st.booleans() if field not in DRAWN else DRAWN[field], label=field)
        for field in OPTIMIZERS[name].model_fields
        if field != "name"
    }
    if drawn.get("nesterov"):
        drawn |= {"momentum": max(drawn["momentum"], 0.1), "dampening": 0.0}
    spec = OPTIMIZERS[name](**drawn).model_dump(exclude={"name"})
    build = partial(LIBRARY[name], lr=1.0, **spec)
    assert_agrees(name, drawn, Problem(2, 20, torch.float64), build, tolerance=1e-9)


@ALL
@DEVICES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_lane_is_the_same_in_any_company(name, settings, dtype, device):
    problem = Problem(33, 30, dtype, device)
    everybody = list(range(33))
    crowd = problem.fresh(everybody)
    optimizer = optimizer_of(name, settings, crowd)
    problem.run(optimizer, crowd, everybody)
    for lanes in ([7, 2], [32, 7, 0], [*range(20, 33), 7], everybody[::-1]):
        few = problem.fresh(lanes)
        other = optimizer_of(name, settings, few)
        problem.run(other, few, lanes)
        assert equal(few, [parameter[lanes] for parameter in crowd])
        theirs, ours = other.state(), optimizer.state()
        assert theirs.keys() == ours.keys()
        assert equal(list(theirs.values()), [t[lanes] if t.ndim else t for t in ours.values()])


@pytest.mark.parametrize(("name", "settings"), [case for case in CASES if STACKED[case.values[0]].elementwise])
def test_elementwise_means_that_parameters_may_be_flat(name, settings):
    problem = Problem(5, 30, torch.float32)
    lanes = list(range(5))
    shaped = problem.fresh(lanes)
    problem.run(optimizer_of(name, settings, shaped), shaped, lanes)
    flat = torch.cat([start.reshape(5, -1) for start in problem.starts], dim=1)
    sizes = [start[0].numel() for start in problem.starts]
    optimizer = optimizer_of(name, settings, [flat])
    for update in range(30):
        views = [v.reshape(s.shape) for v, s in zip(flat.split(sizes, dim=1), shaped, strict=True)]
        gradients = problem.gradients(views, update)
        optimizer.step([torch.cat([g.reshape(5, -1) for g in gradients], dim=1)], problem.rates[update])
    assert equal(list(flat.split(sizes, dim=1)), [p.reshape(5, -1) for p in shaped])


@ALL
@pytest.mark.parametrize("first", [1, 7, 12])
def test_saved_and_loaded_it_goes_on_as_if_uninterrupted(name, settings, first):
    problem, lanes = Problem(4, 20, torch.float32), [0, 1, 2, 3]
    whole = problem.fresh(lanes)
    problem.run(optimizer_of(name, settings, whole), whole, lanes)
    begun = problem.fresh(lanes)
    optimizer = optimizer_of(name, settings, begun)
    problem.run(optimizer, begun, lanes, range(first))
    resumed = [parameter.clone() for parameter in begun]
    other = optimizer_of(name, settings, resumed)
    other.load(optimizer.state())
    problem.run(optimizer, begun, lanes, range(3))  # a copy, that the first one no longer touches
    problem.run(other, resumed, lanes, range(first, 20))
    assert equal(resumed, whole)


@ALL
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e38])
def test_a_lane_that_diverged_touches_no_other(name, settings, bad):
    def spoil(update, gradients):
        for gradient in gradients:
            gradient[1] = bad if update >= 5 else gradient[1]

    problem, lanes = Problem(3, 20, torch.float32), [0, 1, 2]
    calm, spoilt = problem.fresh(lanes), problem.fresh(lanes)
    problem.run(optimizer_of(name, settings, calm), calm, lanes)
    problem.run(optimizer_of(name, settings, spoilt), spoilt, lanes, disturb=spoil)
    for lane, untouched in ((0, True), (1, False), (2, True)):
        assert equal([p[lane] for p in calm], [p[lane] for p in spoilt]) == untouched


@ALL
def test_gradients_and_rates_are_left_as_they_are(name, settings):
    problem = Problem(2, 1, torch.float64)
    parameters = problem.fresh([0, 1])
    gradients, rates = problem.gradients(parameters, 0), problem.rates[0]
    before = [tensor.clone() for tensor in (*gradients, rates)]
    optimizer_of(name, settings, parameters).step(gradients, rates)
    assert equal([*gradients, rates], before)
    assert not equal(parameters, problem.fresh([0, 1]))


@ALL
def test_another_state_is_refused_and_changes_nothing(name, settings):
    problem = Problem(2, 8, torch.float64)
    parameters = problem.fresh([0, 1])
    optimizer = optimizer_of(name, settings, parameters)
    problem.run(optimizer, parameters, [0, 1])
    before = {key: tensor.clone() for key, tensor in optimizer.state().items()}
    first = next(iter(before))
    for wrong in ({}, {**before, "more": before[first]}, {**before, first: before[first][None]}):
        with pytest.raises(InvalidInput):
            optimizer.load({**{key: tensor + 1 for key, tensor in wrong.items()}})
        assert equal(list(optimizer.state().values()), list(before.values()))


@ALL
@pytest.mark.parametrize("device", [pytest.param("cuda", marks=GPU)])
def test_no_update_waits_for_the_device(name, settings, device):
    problem = Problem(2, 12, torch.float32, device)
    parameters = problem.fresh(slice(None))
    optimizer = optimizer_of(name, settings, parameters)
    problem.run(optimizer, parameters, slice(None), range(1))
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        problem.run(optimizer, parameters, slice(None), range(1, 12))
    finally:
        torch.cuda.set_sync_debug_mode(before)
