"""Schedules of parameter groups: every update of every group, in each framework that has them."""

from __future__ import annotations

import csv
import io
import json
import os

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.exports import TARGETS, export
from lrsearch.schedules import CLOSED_FORMS, Schedule, group_fields

from .players import FLOAT32, FLOAT64, MAX_UPDATES, SETS, assert_agree, executed, expected, framework, rates_in_force

MODULES = {"head": ["2"], "norms": ["1", "0.bias"]}
RECIPE = {"optimizer": {"name": "adamw", "weight_decay": 0.1}, "groups": MODULES}
ABLE = ("torch", "lightning", "transformers", "optax", "table", "json")
FIXED = Schedule.model_validate(
    {
        "family": "cosine", "initial_lr": 0.01, "epochs": 4,
        "groups": {
            "head": {"family": "step", "initial_lr": 0.1, "warmup": 1, "step_size": 1, "decay_rate": 0.5},
            "norms": {"family": "constant", "initial_lr": 0.03},
        },
    }
)  # fmt: skip


@st.composite
def grouped(draw, schedules, family):
    """A schedule with two groups, one of them of ``family``, and its updates an epoch."""
    main, per_epoch = draw(schedules(None, None, MAX_UPDATES))
    groups = {}
    for name, kind in (("head", family), ("norms", None)):
        own, _ = draw(schedules(kind, None, MAX_UPDATES))
        try:
            carried = own.rescale(**{unit: getattr(main, unit) for unit in ("epochs", "updates")})
            groups[name] = group_fields(carried)
            carried.clock(per_epoch)
        except InvalidInput:
            assume(False)
    try:
        schedule = Schedule.read({**main.model_dump(), "groups": groups})
        schedule.clock(per_epoch)
    except InvalidInput:
        assume(False)
    return schedule, per_epoch


def wanted(schedule, per_epoch):
    """The rates of the rest, of head and of norms, at updates 0..H+5: shape (updates, 3)."""
    parts = [schedule, *(own for _, own in schedule.groups)]
    return np.stack([expected(part, per_epoch) for part in parts], axis=1)


def model():
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 1))


def assert_sets(optimizer, scheduler, schedule, per_epoch):
    """Every group has its rate at every update, and its parameters."""
    rates = wanted(schedule, per_epoch)
    found = rates_in_force(optimizer, scheduler, len(rates))
    for column in range(3):
        assert_agree(found[:, column], rates[:, column], FLOAT64)


@pytest.mark.parametrize("family", CLOSED_FORMS)
@settings(max_examples=SETS)
@given(data=st.data())
def test_torchs_text_and_to_torch_set_every_groups_rate(family, schedules, data):
    schedule, per_epoch = data.draw(grouped(schedules, family))
    names = executed(export(schedule, "torch", updates_per_epoch=per_epoch, recipe=RECIPE).text)
    own = names["parameter_groups"](model())
    assert [(group.get("name"), [p.numel() for p in group["params"]]) for group in own] == [
        (None, [6]), ("head", [3, 1]), ("norms", [3, 3, 3]),
    ]  # fmt: skip
    for make in (names["make_scheduler"], lambda made: schedule.to_torch(made, updates_per_epoch=per_epoch)):
        optimizer = torch.optim.AdamW(names["parameter_groups"](model()), lr=7.0)
        assert_sets(optimizer, make(optimizer), schedule, per_epoch)


def test_who_has_no_such_group_is_told():
    names = executed(export(FIXED, "torch", updates_per_epoch=3).text)
    assert names["MODULES"] == {"head": ["head"], "norms": ["norms"]}
    optimizer = torch.optim.SGD([{"params": model()[0].parameters(), "name": "head"}], lr=1.0)
    with pytest.raises(ValueError, match="with the name norms"):
        names["make_scheduler"](optimizer)
    with pytest.raises(InvalidInput, match='"name": "norms"'):
        FIXED.to_torch(optimizer, updates_per_epoch=3)
    optimizer.add_param_group({"params": model()[1].parameters(), "name": "norms"})
    with pytest.raises(InvalidInput, match="leave `multipliers` out"):
        FIXED.to_torch(optimizer, updates_per_epoch=3, multipliers=[1.0, 1.0])


@pytest.mark.parametrize("steps", [0, 5])
def test_momentum_moves_for_all_groups_and_training_goes_on(steps):
    schedule = Schedule.model_validate({**FIXED.model_dump(), "momentum_at_peak": 0.8, "momentum_at_low": 0.95})
    names = executed(export(schedule, "torch", updates_per_epoch=3, recipe=RECIPE).text)
    optimizer = torch.optim.AdamW(names["parameter_groups"](model()), lr=1.0)
    scheduler = names["make_scheduler"](optimizer, start_update=steps)
    rates, momenta = wanted(schedule, 3), schedule.momentum(np.arange(12), 3)
    for update in range(steps, 12):
        for column, group in enumerate(optimizer.param_groups):
            assert group["lr"] == pytest.approx(rates[update, column], rel=1e-12)
            assert group["betas"][0] == pytest.approx(momenta[update], rel=1e-12)
        optimizer.step()
        scheduler.step()


def test_lightning_and_transformers_configure_the_groups():
    schedule = FIXED
    names = executed(export(schedule, "lightning", updates_per_epoch=3, recipe=RECIPE).text)
    configured = names["configure_optimizers"](model())
    assert configured["optimizer"].defaults["weight_decay"] == 0.1
    assert_sets(configured["optimizer"], configured["lr_scheduler"]["scheduler"], schedule, 3)
    names = executed(export(schedule, "transformers", updates_per_epoch=3, recipe=RECIPE).text)
    assert_sets(*names["optimizers"](model()), schedule, 3)
    # what Transformers has a type for by itself, it has none for with groups
    constant = {"family": "constant", "initial_lr": 0.1, "epochs": 4, "groups": FIXED.model_dump()["groups"]}
    assert "optimizers" in executed(
        export(Schedule.model_validate(constant), "transformers", updates_per_epoch=3, recipe=RECIPE).text
    )


@pytest.mark.filterwarnings("ignore")  # Lightning's advice on loaders and loggers
def test_lightnings_trainer_trains_them():
    lightning = framework("lightning")
    names = executed(export(FIXED, "lightning", updates_per_epoch=3, recipe=RECIPE).text)
    seen = []

    class Module(lightning.LightningModule):
        configure_optimizers = names["configure_optimizers"]

        def __init__(self):
            super().__init__()
            for number, layer in enumerate(model()):
                self.add_module(str(number), layer)

        def training_step(self, batch, _):
            seen.append([group["lr"] for group in self.optimizers().param_groups])
            hidden = self.get_submodule("1")(self.get_submodule("0")(batch))
            return self.get_submodule("2")(hidden).sum()

    loader = torch.utils.data.DataLoader(torch.ones(3, 2), batch_size=1)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    lightning.Trainer(max_epochs=4, accelerator="cpu", enable_model_summary=False, **quiet).fit(Module(), loader)
    np.testing.assert_allclose(seen, wanted(FIXED, 3)[:12], rtol=1e-12)


@pytest.mark.parametrize("top", [lambda params: params, lambda params: {"params": params}])
@settings(max_examples=SETS)
@given(data=st.data())
def test_optax_gives_every_parameter_its_groups_rate(top, schedules, data):
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    framework("jax", "optax")
    import jax
    import jax.numpy as jnp

    schedule, per_epoch = data.draw(grouped(schedules, None))
    names = executed(export(schedule, "optax", updates_per_epoch=per_epoch, recipe=RECIPE).text)
    params = {"0": {"kernel": 1.0, "bias": 1.0}, "1": {"scale": 1.0}, "2": {"kernel": 1.0}, "20": {"kernel": 1.0}}
    params = jax.tree.map(jnp.float32, top(params))
    optimizer = names["optimizer"]
    rates = wanted(schedule, per_epoch)
    for name, column in (("", 0), ("head", 1), ("norms", 2)):
        found = np.asarray(names["learning_rates"][name](jnp.arange(len(rates), dtype=jnp.int32)))
        assert_agree(np.broadcast_to(found, len(rates)), rates[:, column], FLOAT32)
    ones = jax.tree.map(jnp.ones_like, params)
    changed, _ = optimizer.update(ones, optimizer.init(params))
    changed = changed.get("params", changed)
    own = {"0": {"kernel": 0, "bias": 2}, "1": {"scale": 2}, "2": {"kernel": 1}, "20": {"kernel": 0}}
    for layer, parts in own.items():
        for part, column in parts.items():
            assert float(changed[layer][part]) == pytest.approx(-rates[0, column], rel=1e-5, abs=1e-30)


def test_a_table_has_a_column_a_group_and_json_says_it_all():
    rows = list(csv.DictReader(io.StringIO(export(FIXED, "table", updates_per_epoch=3).text)))
    found = [[float(row[name]) for name in ("lr", "lr_head", "lr_norms")] for row in rows]
    np.testing.assert_array_equal(found, wanted(FIXED, 3)[:12])
    assert Schedule.read(json.loads(export(FIXED, "json").text)["schedule"]) == FIXED


@pytest.mark.parametrize("target", sorted(set(TARGETS) - set(ABLE)))
def test_who_has_no_parameter_groups_says_so(target):
    with pytest.raises(InvalidInput, match=f"{target} cannot express `groups`.*torch, lightning, transformers, optax"):
        export(FIXED, target, updates_per_epoch=3)
