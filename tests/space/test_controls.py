"""Spaces that control more than the rate."""

from __future__ import annotations

from typing import Any

import pytest

from lrsearch.errors import InvalidInput
from lrsearch.resolve import resolve
from lrsearch.schedules import FAMILIES, SWITCHES, WIDER
from lrsearch.space import Space
from lrsearch.study import OPTIMIZERS, read_spec
from lrsearch.tasks.catalog import CATALOG
from lrsearch.trajectory import count_epochs


def spec(task: str, optimizer: Any, **space: Any) -> Any:
    told = {"family": "step", "initial_lr": [0.1], "decay_rate": 0.5, "step_size": 4, **space}
    written = {"task": task, "epochs": 10, "space": told, "sampler": "grid", "train": {"optimizer": optimizer}}
    return resolve(read_spec(written), CATALOG[task])


def test_the_optimisers_that_may_take_over_are_those_there_are() -> None:
    assert set(SWITCHES) == set(OPTIMIZERS)
    assert SWITCHES[:6] == ("sgd", "adam", "adamw", "rmsprop", "adagrad", "ranger")  # their numbers are part of keys


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_them(family: str) -> None:
    assert set(WIDER) <= set(FAMILIES[family].parameters())


def test_what_comes_before_a_switch_is_shared() -> None:
    found = Space(
        spec("digits-mlp", "adam", switch_to=[None, "sgd"], switch_at=["60%", 8, 10], layer_decay=[1, 0.5]), 9
    )
    schedules = [found.schedule(found.cell(index)) for index in range(found.n_cells or 0)]
    assert len(schedules) == 12
    assert {schedule.switch_at for schedule in schedules} == {6, 8, 10}
    # each of two layer decays: 10 epochs that never switch, 4 after a switch at 6, 2 after one at 8
    assert count_epochs(schedules, 9) == (120, 2 * (10 + 4 + 2))


@pytest.mark.parametrize(
    ("task", "optimizer", "space", "field", "says"),
    [
        ("digits-mlp", "sgd", {"momentum_at_peak": 0.8}, "space.momentum_at_peak", "give it `momentum`"),
        ("digits-mlp", "adagrad", {"momentum_at_low": [0.8]}, "space.momentum_at_low", "adagrad has no momentum"),
        ("digits-mlp", "adam", {"momentum_at_peak": 1.0}, "space.momentum_at_peak", "less than 1"),
        ("digits-mlp", "adam", {"switch_to": "sgd"}, "space.switch_at", "say when sgd takes over"),
        ("digits-mlp", "adam", {"switch_to": "sgd", "switch_at": [0, 5]}, "space.switch_at", "got 0"),
        ("digits-mlp", "adam", {"switch_to": "lion", "switch_at": 5}, "space.switch_to", "'sgd', 'adam'"),
        ("least-squares", "sgd", {"switch_to": "adam", "switch_at": 5}, "space.switch_to", "with sgd only"),
        ("digits-mlp", "adam", {"layer_decay": [0.5, 1.5]}, "space.layer_decay", "less than or equal to 1"),
        ("digits-mlp", "adam", {"freeze": -1}, "space.freeze", "greater than or equal to 0"),
    ],
)
def test_what_the_recipe_does_not_have_is_refused(
    task: str, optimizer: str, space: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        spec(task, optimizer, **space)
    assert refused.value.faults[0].field == field


@pytest.mark.parametrize("optimizer", ["adam", "ranger", {"name": "sgd", "momentum": 0.9}])
def test_momentum_moves_where_there_is_one(optimizer: Any) -> None:
    assert Space(spec("digits-mlp", optimizer, momentum_at_peak=[0.8, 0.9]), 9).n_cells == 2
