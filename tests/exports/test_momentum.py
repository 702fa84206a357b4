"""Momentum that moves with the rate: torch's OneCycleLR, what is written, and who says that he cannot."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput
from lrsearch.exports import TARGETS, export
from lrsearch.schedules import Schedule

KINDS = {
    "sgd": (lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9), lambda group: group["momentum"]),
    "adam": (lambda p: torch.optim.Adam(p, lr=1.0), lambda group: group["betas"][0]),
}


def played(optimizer, scheduler, momentum_of, n_updates):
    """Rate and momentum in force at each update."""
    seen = []
    for _ in range(n_updates):
        seen.append((float(optimizer.param_groups[0]["lr"]), momentum_of(optimizer.param_groups[0])))
        optimizer.step()
        scheduler.step()
    return np.array(seen)


def weights():
    return [torch.nn.Parameter(torch.zeros(2))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("total", "warmup"), [(100, 29), (41, 7), (10, 2)])
def test_a_cosine_after_a_cosine_is_torchs_one_cycle(kind, total, warmup):
    build, momentum_of = KINDS[kind]
    theirs = build(weights())
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        theirs, max_lr=0.3, total_steps=total, pct_start=(warmup + 1) / total, div_factor=25, final_div_factor=1e4,
        base_momentum=0.85, max_momentum=0.95,
    )  # fmt: skip
    schedule = Schedule.model_validate(
        {
            "family": "cosine", "initial_lr": 0.3, "warmup": warmup, "warmup_shape": "cosine", "warmup_start": 1 / 25,
            "final_factor": 1 / 25e4, "momentum_at_peak": 0.85, "momentum_at_low": 0.95, "updates": total - 1,
            "eval_every": 1,
        }
    )  # fmt: skip
    expected = played(theirs, scheduler, momentum_of, total - 1)
    updates = np.arange(total - 1)
    np.testing.assert_allclose(schedule.lr(updates), expected[:, 0], rtol=1e-9)
    np.testing.assert_allclose(schedule.momentum(updates), expected[:, 1], rtol=1e-9)


moving = st.fixed_dictionaries(
    {
        "family": st.sampled_from(["cosine", "step", "constant"]),
        "warmup": st.sampled_from([0, 2, 3]),
        "final_factor": st.sampled_from([0.0, 0.1, 1.0]),
        "warmup_start": st.sampled_from([0.0, 0.04, 1.0]),
        "momentum_at_peak": st.sampled_from([None, 0.8, 0.9]),
        "momentum_at_low": st.sampled_from([0.7, 0.95]),
    }
)


def made(fields):
    extra = {"decay_rate": 0.5, "step_size": 2} if fields["family"] == "step" else {}
    told = {name: value for name, value in fields.items() if value is not None}
    return Schedule.model_validate({"initial_lr": 0.3, "epochs": 8, **extra, **told})


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(fields=moving)
def test_what_is_written_and_to_torch_set_rate_and_momentum(kind, fields):
    schedule, (build, momentum_of) = made(fields), KINDS[kind]
    updates = np.arange(3 * 8 + 5)
    expected = np.stack([schedule.lr(updates, 3), schedule.momentum(updates, 3)], axis=1)
    assert ((expected[:, 1] >= 0.7) & (expected[:, 1] <= 0.95)).all()
    names = {}
    exec(export(schedule, "torch", updates_per_epoch=3).text, names)
    for make in (names["make_scheduler"], lambda optimizer: schedule.to_torch(optimizer, updates_per_epoch=3)):
        optimizer = build(weights())
        found = played(optimizer, make(optimizer), momentum_of, len(updates))
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    rows = list(csv.DictReader(io.StringIO(export(schedule, "table", updates_per_epoch=3).text)))
    assert [float(row["momentum"]) for row in rows] == schedule.momentum(updates[:24], 3).tolist()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "wider",
    [
        {"momentum_at_peak": 0.8},
        {"layer_decay": 0.5},
        {"freeze": 2},
        {"switch_to": "sgd", "switch_at": 4},
        {"switch_to": "sgd", "switch_at": 4, "layer_decay": 0.5},
    ],
)
def test_nothing_is_left_out_in_silence(target, wider):
    told = {"family": "cosine", "initial_lr": 0.3, "epochs": 8}
    schedule = Schedule.model_validate(told | wider)
    entry = TARGETS[target]
    if set(schedule.wider) <= entry.wider:
        assert (
            export(schedule, target, updates_per_epoch=3).text
            != export(Schedule.model_validate(told), target, updates_per_epoch=3).text
        )
    else:
        with pytest.raises(InvalidInput, match=f"{target} cannot express `{schedule.wider[0]}`.*json can"):
            export(schedule, target, updates_per_epoch=3)


def test_to_torch_says_what_one_scheduler_cannot_do():
    told = {"family": "cosine", "initial_lr": 0.3, "epochs": 8}
    optimizer = torch.optim.Adagrad(weights(), lr=1.0)
    with pytest.raises(InvalidInput, match="cannot do `layer_decay`"):
        Schedule.model_validate({**told, "layer_decay": 0.5}).to_torch(optimizer, updates_per_epoch=3)
    with pytest.raises(InvalidInput, match="Adagrad has none"):
        Schedule.model_validate({**told, "momentum_at_peak": 0.5}).to_torch(optimizer, updates_per_epoch=3)
