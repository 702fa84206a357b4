"""Schedules of parameter groups: data, controls, keys, horizons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lrsearch.errors import InvalidInput
from lrsearch.schedules import CLOSED_FORMS, OWN, Column, Schedule, group_fields
from lrsearch.trajectory import Plan, first_key

from ..exports.players import some

BODY = {"family": "cosine", "initial_lr": 0.01, "epochs": 6}
HEAD = {"family": "step", "initial_lr": 0.1, "warmup": "50%", "step_size": 1, "decay_rate": 0.5}
NORMS = {"family": "constant", "initial_lr": 0.03}
START = first_key({}, 0)


def made(**fields: Any) -> Schedule:
    return Schedule.read({**BODY, **fields})


def keys(schedule: Schedule) -> list[str]:
    return Plan(schedule, 4).keys(START)


def test_it_travels_as_it_is_written() -> None:
    schedule = made(groups={"norms": NORMS, "head": HEAD})
    written = schedule.model_dump(mode="json")
    assert list(written["groups"]) == ["head", "norms"]
    assert written["groups"]["head"]["warmup"] == 3
    assert not {"epochs", "groups", "switch_to"} & written["groups"]["head"].keys()
    assert Schedule.read(written) == schedule == Schedule.model_validate_json(schedule.model_dump_json())
    assert hash(Schedule.read(written)) == hash(schedule)
    assert "groups" not in made().model_dump()
    assert schedule.wider == ("groups",)


@pytest.mark.parametrize("family", CLOSED_FORMS)
def test_every_closed_form_is_a_groups_and_has_its_column(family: str) -> None:
    alone = some(family, epochs=6)
    schedule = made(groups={"head": group_fields(alone)})
    updates = np.arange(30)
    np.testing.assert_array_equal(dict(schedule.groups)["head"].lr(updates, 4), alone.lr(updates, 4))
    found = np.concatenate([Plan(schedule, 4).controls(epoch) for epoch in range(1, 7)])
    assert found.shape == (24, len(Column) + 1)
    np.testing.assert_allclose(found[:, len(Column)], alone.lr_table(4), rtol=2.0**-44)
    np.testing.assert_allclose(found[:, Column.RATE], made().lr_table(4), rtol=2.0**-44)


def test_a_group_with_the_rate_of_all_others_is_none() -> None:
    same = {**BODY}
    del same["epochs"]
    assert keys(made(groups={"head": same})) == keys(made())
    assert keys(made(groups={"head": same, "norms": NORMS})) != keys(made(groups={"head": NORMS, "norms": same}))
    # where depths have rates of their own, one rate for a whole group is something else
    assert keys(made(groups={"head": same}, layer_decay=0.5)) != keys(made(layer_decay=0.5))
    # and the rates agree only for a while: what comes before they part is shared
    plain = {"family": "constant", "initial_lr": 0.01}
    later = {"family": "step", "initial_lr": 0.01, "step_size": 3, "decay_rate": 0.5}
    mixed, alone = keys(made(**plain, groups={"head": later})), keys(made(**plain))
    assert [a == b for a, b in zip(mixed, alone, strict=True)] == [True] * 4 + [False] * 3


def test_frozen_all_but_the_last_is_not_the_rate_of_all_others() -> None:
    same = {"family": "cosine", "initial_lr": 0.01}
    plan = Plan(made(groups={"head": same}, freeze=2), 4)
    assert plan.controls(2)[:, len(Column)].tolist() == plan.controls(2)[:, Column.RATE].tolist()
    assert plan.controls(3).shape == (4, 1)
    two = Plan(made(groups={"head": same, "norms": NORMS}), 4).controls(1)
    assert (two[:, len(Column)] == OWN).all()
    assert np.allclose(two[:, len(Column) + 1], 0.03, rtol=1e-12)


def test_a_switch_multiplies_every_groups_rate() -> None:
    schedule = made(groups={"norms": NORMS}, switch_to="sgd", switch_at=3, switch_factor=10)
    rates = [Plan(schedule, 4).controls(epoch)[0, -1] for epoch in (1, 3, 4, 6)]
    np.testing.assert_allclose(rates, [0.03, 0.03, 0.3, 0.3], rtol=1e-12)


@pytest.mark.parametrize("to", [{"epochs": 12}, {"updates": 48}, {"batch_size": 128, "from_batch_size": 64}])
def test_groups_are_rescaled_with_the_whole(to: dict[str, int]) -> None:
    schedule = made(groups={"head": HEAD, "norms": NORMS})
    found = schedule.rescale(**to)
    for name, own in schedule.groups:
        alone = own.rescale(**to)
        assert dict(found.groups)[name].lr_table(4).tolist() == alone.lr_table(4).tolist()


@pytest.mark.parametrize(
    ("groups", "field", "says"),
    [
        (
            {"head": {"family": "plateau", "initial_lr": 1}},
            "groups.head.family",
            "one of constant, step.*got 'plateau'",
        ),
        ({"head": {"family": "cosin", "initial_lr": 1}}, "groups.head.family", "did you mean `cosine`"),
        ({"head": {"family": "cosine"}}, "groups.head.initial_lr", "required"),
        ({"head": {"family": "cosine", "initial_lr": -1}}, "groups.head.initial_lr", "greater than 0.*got -1"),
        ({"head": {"family": "cosine", "initial_lr": 1, "eta_min": 0}}, "groups.head.eta_min", "`final_factor`"),
        ({"head": {"family": "cosine", "initial_lr": 1, "warmup": 6}}, "groups.head", "end before the horizon"),
        ({"head": {"family": "cosine", "initial_lr": 1, "epochs": 5}}, "groups.head.epochs", "leave it out.*got 5"),
        ({"head": {"family": "cosine", "initial_lr": 1, "freeze": 2}}, "groups.head.freeze", "beside `groups`"),
        ({"head": {**NORMS, "groups": {"a": NORMS}}}, "groups.head.groups", "beside `groups`"),
        ({"The head": NORMS}, "groups.The head", "should match"),
        (["head"], "groups", "a mapping"),
    ],
)
def test_what_is_no_group_is_refused(groups: Any, field: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        made(groups=groups)
    assert [fault.field for fault in caught.value.faults] == [field]
