"""A torch scheduler read as a schedule has the rates that torch sets, at every update of the training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as library

import lrsearch
from lrsearch.errors import InvalidInput, NotFound
from lrsearch.imports import IMPORTERS
from lrsearch.imports.torch import READERS
from lrsearch.schedules import CLOSED_FORMS

from ..exports.players import FLOAT64, SETS, some, weights

rates = st.floats(1e-5, 2)
shares = st.floats(0.01, 1)
steps = st.integers(1, 40)


def optimizer(lr):
    return torch.optim.SGD(weights(2), lr=lr)


def stepped(scheduler, n_updates):
    """The rates of ``n_updates`` updates, the scheduler stepped after each."""
    own, found = scheduler.optimizer, []
    for _ in range(n_updates):
        found.append(float(own.param_groups[0]["lr"]))
        own.step()
        scheduler.step()
    return np.array(found)


def assert_same(schedule, wanted, per_epoch=None):
    """Every rate of the training is torch's, and so is the one after it."""
    found = schedule.lr(np.arange(len(wanted)), per_epoch)
    assert np.abs(found - wanted).max() <= FLOAT64 * wanted.max()


def warmed(draw, o, decay, n, *flat):
    ramp = library.LinearLR(o, draw(st.floats(0.01, 0.99)), 1.0, total_iters=n)
    ends = np.cumsum([n, *(length for length in flat)]).tolist()
    stages = [ramp, *(library.ConstantLR(o, 1.0) for _ in flat), decay]
    return library.SequentialLR(o, stages, ends)


def cyclic(draw, o, lr):
    up = draw(st.integers(1, 20))
    down = draw(st.integers(max(1, up // 50), 20))
    mode = draw(st.sampled_from(["triangular", "triangular2"]))
    return library.CyclicLR(o, draw(st.floats(0, 0.9)) * lr, lr, up, down, mode=mode, cycle_momentum=False), up + 60


def one_cycle(draw, o, lr, three_phase=False):
    up, rest = draw(steps), draw(st.integers(3, 60))
    total = (2 if three_phase else 1) * up + rest
    strategy = "linear" if three_phase else draw(st.sampled_from(["cos", "linear"]))
    told = {"div_factor": draw(st.floats(1, 100)), "final_div_factor": draw(st.floats(1, 1e5))}
    made = library.OneCycleLR(
        o, lr, total, pct_start=(up + 1) / total, anneal_strategy=strategy, three_phase=three_phase,
        cycle_momentum=False, **told,
    )  # fmt: skip
    return made, None


def sequence(draw, o, lr):
    n, horizon = draw(steps), draw(steps)
    decay, own = draw(
        st.sampled_from(
            [
                (library.CosineAnnealingLR(o, horizon, 0.1 * lr), True),
                (library.PolynomialLR(o, horizon, 2.0), True),
                (library.LinearLR(o, 1.0, 0.3, horizon), True),
                (library.StepLR(o, 3, 0.5), False),
                (library.MultiStepLR(o, [2, 9], 0.5), False),
                (library.ExponentialLR(o, 0.9), False),
                (library.ConstantLR(o, 1.0), False),
                (library.CosineAnnealingWarmRestarts(o, 7, 2, 0.1 * lr), False),
            ]
        )
    )
    return warmed(draw, o, decay, n), None if own else n + 41


def trapezoid(draw, o, lr):
    n, flat, horizon = draw(steps), draw(steps), draw(steps)
    decay, own = draw(
        st.sampled_from(
            [
                (library.CosineAnnealingLR(o, horizon, 0.1 * lr), True),
                (library.LinearLR(o, 1.0, 0.3, horizon), True),
                (library.StepLR(o, 3, 0.5), False),
                (library.MultiStepLR(o, [2, 9], 0.5), False),
            ]
        )
    )
    return warmed(draw, o, decay, n, flat), None if own else n + flat + 33


def chain(draw, o, lr):
    n = draw(st.integers(1, 20))
    ramp = library.LinearLR(o, draw(st.floats(0.01, 0.99)), 1.0, total_iters=n)
    decay = draw(st.sampled_from([library.StepLR(o, n + 3, 0.5), library.MultiStepLR(o, [n + 1, n + 9], 0.5)]))
    return library.ChainedScheduler([ramp, decay]), n + 50


def transformers_lambda(draw, o, lr):
    library = pytest.importorskip("transformers.optimization")
    return library.get_cosine_schedule_with_warmup(o, draw(steps), 60), None


MADE = {
    "StepLR": lambda draw, o, lr: (library.StepLR(o, draw(steps), draw(shares)), 60),
    "MultiStepLR": lambda draw, o, lr: (
        library.MultiStepLR(o, draw(st.lists(st.integers(0, 70), max_size=5)), draw(shares)), 60,
    ),
    "ExponentialLR": lambda draw, o, lr: (library.ExponentialLR(o, draw(st.floats(0.5, 1))), 60),
    "ConstantLR": lambda draw, o, lr: (library.ConstantLR(o, draw(shares), 61), 60),
    "LinearLR": lambda draw, o, lr: (library.LinearLR(o, draw(shares), draw(shares), draw(steps)), 60),
    "LinearLR, its own length": lambda draw, o, lr: (library.LinearLR(o, 1.0, draw(shares), draw(steps)), None),
    "PolynomialLR": lambda draw, o, lr: (library.PolynomialLR(o, draw(steps), draw(st.floats(0.1, 5))), None),
    "PolynomialLR, a line": lambda draw, o, lr: (library.PolynomialLR(o, draw(steps)), 60),
    "CosineAnnealingLR": lambda draw, o, lr: (
        library.CosineAnnealingLR(o, draw(steps), draw(st.floats(0, 1)) * lr), None,
    ),
    "CosineAnnealingWarmRestarts": lambda draw, o, lr: (
        library.CosineAnnealingWarmRestarts(o, draw(st.integers(1, 25)), draw(st.integers(1, 3)), 0.1 * lr), 60,
    ),
    "CyclicLR": cyclic,
    "OneCycleLR": one_cycle,
    "OneCycleLR, three phases": lambda draw, o, lr: one_cycle(draw, o, lr, three_phase=True),
    "SequentialLR": sequence,
    "SequentialLR, flat between": trapezoid,
    "ChainedScheduler": chain,
    "LambdaLR": transformers_lambda,
}  # fmt: skip
"""A scheduler with random settings, and the updates of the training where it does not say them itself."""


def test_every_reader_is_tried():
    assert READERS.keys() == {name.partition(",")[0] for name in MADE} | {"ReduceLROnPlateau"}


@pytest.mark.parametrize("name", MADE)
@settings(max_examples=SETS)
@given(data=st.data(), lr=rates)
def test_it_has_torch_s_rate_at_every_update(name, data, lr):
    scheduler, horizon = MADE[name](data.draw, optimizer(lr), lr)
    schedule = lrsearch.import_schedule("torch", scheduler, updates=horizon)
    ends = schedule.family == "cosine_restarts"  # where a cycle ends with the training there is no next one
    assert_same(schedule, stepped(scheduler, schedule.horizon + (0 if ends else 1)))


MOVING = {
    "CyclicLR": lambda draw, o, lr, told: (
        library.CyclicLR(
            o, draw(st.floats(0, 0.9)) * lr, lr, draw(st.integers(1, 9)), draw(st.integers(1, 9)),
            mode=draw(st.sampled_from(["triangular", "triangular2"])), **told,
        ),
        50,
    ),
    "OneCycleLR": lambda draw, o, lr, told: (
        library.OneCycleLR(
            o, lr, 40, pct_start=draw(st.integers(2, 30)) / 40,
            anneal_strategy=draw(st.sampled_from(["cos", "linear"])), div_factor=draw(st.floats(2, 100)),
            final_div_factor=draw(st.floats(1, 1e5)), **told,
        ),
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("name", MOVING)
@settings(max_examples=2 * SETS)
@given(data=st.data(), lr=rates, momenta=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)))
def test_the_momentum_that_it_cycles_is_torch_s_at_every_update(name, kind, data, lr, momenta):
    beta = "betas" if kind is torch.optim.AdamW else "momentum"
    own = kind(weights(2), lr=lr, **({} if beta == "betas" else {"momentum": 0.9}))
    base, top = sorted(momenta)
    scheduler, horizon = MOVING[name](data.draw, own, lr, {"base_momentum": base, "max_momentum": top})
    schedule = lrsearch.import_schedule("torch", scheduler, updates=horizon)
    wanted = []
    for _ in range(schedule.horizon):
        now = own.param_groups[0]
        wanted.append((now["lr"], now[beta][0] if beta == "betas" else now[beta]))
        own.step()
        scheduler.step()
    updates = np.arange(schedule.horizon)
    assert_same(schedule, np.array(wanted)[:, 0])
    np.testing.assert_allclose(schedule.momentum(updates), np.array(wanted)[:, 1], rtol=0, atol=1e-12)


def test_a_schedule_of_parameter_groups_comes_back():
    head = {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 2}
    schedule = lrsearch.Schedule.model_validate(
        {"family": "cosine", "initial_lr": 0.3, "epochs": 6, "groups": {"head": head}}
    )
    first, second = weights(2, 3)
    own = torch.optim.SGD([{"params": [first], "name": "head"}, {"params": [second]}], lr=1.0)
    assert lrsearch.import_schedule("torch", schedule.to_torch(own, updates_per_epoch=5)) == schedule


@settings(max_examples=4 * SETS)
@given(
    lr=rates, factor=st.floats(0.1, 0.9), patience=st.integers(0, 3), cooldown=st.integers(0, 3),
    threshold=st.floats(0, 0.1), kind=st.sampled_from(["rel", "abs"]), mode=st.sampled_from(["min", "max"]),
    floor=st.floats(0, 0.5), every=st.integers(1, 3), values=st.lists(st.floats(0.01, 2), min_size=20, max_size=20),
)  # fmt: skip
def test_a_plateau_has_torch_s_rate_in_every_interval(
    lr, factor, patience, cooldown, threshold, kind, mode, floor, every, values
):
    own = optimizer(lr)
    scheduler = library.ReduceLROnPlateau(
        own, mode, factor, patience, threshold, kind, cooldown, min_lr=floor * lr, eps=0
    )
    n = every * len(values)
    schedule = lrsearch.import_schedule("torch", scheduler, updates=n, eval_every=every)
    wanted = []
    for value in values:
        wanted += [own.param_groups[0]["lr"]] * every
        scheduler.step(value)
    table = schedule.lr_table(history=[{"val_loss": value} for value in values])
    np.testing.assert_allclose(table, wanted, rtol=1e-12)


@pytest.mark.parametrize("per_epoch", [1, 7])
@pytest.mark.parametrize(
    "make", [lambda o: library.StepLR(o, 3, 0.5), lambda o: library.MultiStepLR(o, [2, 2, 5], 0.1)]
)
def test_stepped_once_an_epoch_a_step_is_the_same_whatever_an_epoch_s_updates(make, per_epoch):
    scheduler = make(optimizer(0.3))
    schedule = lrsearch.import_schedule("torch", scheduler, epochs=12)
    assert_same(schedule, np.repeat(stepped(scheduler, 12), per_epoch), per_epoch)


@pytest.mark.parametrize("family", CLOSED_FORMS)
def test_what_to_torch_made_comes_back(family):
    schedule = some(family, epochs=6, warmup=2)
    made = schedule.to_torch(optimizer(1.0), updates_per_epoch=5, multipliers=[0.5])
    halved = schedule.model_copy(update={"initial_lr": 0.15})
    assert lrsearch.import_schedule("torch", made) == halved


def test_it_is_read_in_the_middle_of_a_training_and_left_as_it_is():
    scheduler = library.CosineAnnealingLR(optimizer(0.3), 20, 0.01)
    wanted = stepped(scheduler, 11)
    kept = scheduler.state_dict()
    schedule = lrsearch.import_schedule("torch", scheduler, updates=20, eval_every=5)
    assert scheduler.state_dict() == kept
    assert schedule.eval_every == 5
    assert_same(schedule, wanted)


def test_a_group_of_several_is_named():
    first, second = weights(2, 3)
    own = torch.optim.SGD([{"params": [first]}, {"params": [second], "lr": 0.1}], lr=1.0)
    scheduler = library.StepLR(own, 3, 0.5)
    with pytest.raises(InvalidInput, match="group=0"):
        lrsearch.import_schedule("torch", scheduler, updates=9)
    with pytest.raises(InvalidInput, match="counts from 0 to 1"):
        lrsearch.import_schedule("torch", scheduler, updates=9, group=2)
    assert lrsearch.import_schedule("torch", scheduler, updates=9, group=1).initial_lr == 0.1


class Mine(library.StepLR):
    pass


def momentum(lr=0.1):
    return torch.optim.SGD(weights(2), lr=lr, momentum=0.9)


REFUSED = {
    "no horizon": (lambda o: library.StepLR(o, 3), {}, "give `updates`"),
    "another horizon": (lambda o: library.CosineAnnealingLR(o, 20), {"updates": 30}, "ends after 20 steps"),
    "a warm-up for ever": (lambda o: library.LinearLR(o, 0.1, 1.0, 20), {"updates": 20}, "before the horizon"),
    "a growth": (lambda o: library.ExponentialLR(o, 1.1), {"updates": 20}, "decay_rate"),
    "a floor above": (lambda o: library.CosineAnnealingLR(o, 20, 1.0), {}, "final_factor"),
    "a jump": (lambda o: library.ConstantLR(o, 0.5, 5), {"updates": 20}, "jumps"),
    "a function": (lambda o: library.LambdaLR(o, lambda update: 0.5), {"updates": 20}, "calls a function"),
    "a factor a step": (lambda o: library.MultiplicativeLR(o, lambda update: 0.5), {"updates": 20}, "importable are"),
    "one's own class": (lambda o: Mine(o, 3), {"updates": 20}, "nothing here for Mine"),
    "momentum in two of three phases": (
        lambda o: library.OneCycleLR(momentum(), 0.1, 21, three_phase=True, anneal_strategy="linear", pct_start=6 / 21),
        {}, "keeps the momentum in its last phase",
    ),
    "momentum where the rate stays": (
        lambda o: library.OneCycleLR(momentum(), 0.1, 20, div_factor=1.0), {}, "where the rate stays",
    ),
    "half an update": (
        lambda o: library.OneCycleLR(o, 0.1, 12, cycle_momentum=False), {}, "whole number of updates",
    ),
    "an exponential range": (
        lambda o: library.CyclicLR(o, 0.01, 0.1, 5, mode="exp_range", gamma=0.9, cycle_momentum=False),
        {"updates": 20}, "first peak",
    ),
    "epochs of a curve": (lambda o: library.ExponentialLR(o, 0.9), {"epochs": 20}, "stepped once an epoch"),
    "a cut-off ramp": (
        lambda o: library.SequentialLR(o, [library.LinearLR(o, 0.1, 1.0, 9), library.StepLR(o, 3)], [5]),
        {"updates": 20}, "cut off",
    ),
    "two decays": (
        lambda o: library.SequentialLR(o, [library.StepLR(o, 3), library.ExponentialLR(o, 0.9)], [5]),
        {"updates": 20}, "StepLR comes before ExponentialLR",
    ),
    "a decay in the warm-up": (
        lambda o: library.ChainedScheduler([library.LinearLR(o, 0.1, 1.0, 9), library.StepLR(o, 3)]),
        {"updates": 20}, "before the warm-up of 9 steps has ended",
    ),
    "a curve in the warm-up": (
        lambda o: library.ChainedScheduler([library.LinearLR(o, 0.1, 1.0, 9), library.ExponentialLR(o, 0.9)]),
        {"updates": 20}, "SequentialLR",
    ),
    "a plateau's last digits": (
        lambda o: library.ReduceLROnPlateau(o, patience=0), {"updates": 20}, "eps=0",
    ),
    "no scheduler": (lambda o: o, {}, "a scheduler of torch"),
    "both horizons": (lambda o: library.StepLR(o, 3), {"updates": 20, "epochs": 20}, "not both"),
    "no number": (lambda o: library.StepLR(o, 3), {"updates": 0}, "whole number >= 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exact_is_refused_with_what_to_do(name):
    make, told, message = REFUSED[name]
    with pytest.raises(InvalidInput, match=message):
        lrsearch.import_schedule("torch", make(optimizer(0.1)), **told)


def test_an_unknown_framework_is_answered_with_those_there_are():
    with pytest.raises(NotFound, match=", ".join(IMPORTERS)):
        lrsearch.import_schedule("caffe", {})
