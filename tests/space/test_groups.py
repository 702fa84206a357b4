"""Spaces that search a schedule for each parameter group."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from lrsearch.errors import InvalidInput
from lrsearch.resolve import resolve
from lrsearch.schedules import CLOSED_FORMS, Schedule
from lrsearch.service.catalog import catalog
from lrsearch.space import Space
from lrsearch.study import SpaceSpec, StudySpec, read_spec
from lrsearch.tasks.catalog import CATALOG
from lrsearch.trajectory import count_epochs

HEAD = {"family": "step", "initial_lr": [0.1, 0.2], "warmup": [0, "50%"], "decay_rate": 0.5, "step_size": 2}


def spec(groups: Any, modules: Any = None, **fields: Any) -> StudySpec:
    told = {"family": "cosine", "initial_lr": [0.01, 0.02], "groups": groups}
    train = {} if modules is None else {"train": {"groups": modules}}
    written = {"task": "digits-mlp", "epochs": 6, "space": told, "sampler": "grid", **train, **fields}
    return resolve(read_spec(written), CATALOG["digits-mlp"])


def test_it_is_resolved_once_and_stored_as_it_is_written() -> None:
    found = spec({"head": {"family": "step"}}, sampler="random")
    own = found.space.model_dump()["groups"]["head"]
    assert own["family"] == "step"
    assert own["initial_lr"] == [0.01, 0.02]  # as the rest
    assert own["step_size"]["step"] == 1
    assert found.train is not None
    assert found.train.groups == {"head": ("head",)}
    assert resolve(found, CATALOG["digits-mlp"]) == found == read_spec(found.model_dump(mode="json"))
    assert (
        "groups"
        not in resolve(
            read_spec({"task": "digits-mlp", "epochs": 6, "space": {"family": "step"}}), CATALOG["digits-mlp"]
        ).recipe()
    )


def test_names_with_dots_and_mappings_are_the_same() -> None:
    nested = SpaceSpec.read({"family": "cosine", "groups": {"head": {"family": "step", "warmup": 1}}})
    flat = SpaceSpec.read({"family": "cosine", "groups.head.family": "step", "groups.head.warmup": 1})
    assert nested == flat
    assert nested.groups == ("head",)


def test_schema_and_catalog_tell_of_them() -> None:
    schema = SpaceSpec.model_json_schema()
    jsonschema.validate({"family": "cosine", "groups": {"head": HEAD}}, schema)
    for wrong in ({"Head": HEAD}, {"head": {"initial_lr": 0.1}}, {"head": {"family": "plateau"}}, {"head": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"family": "cosine", "groups": wrong}, schema)
    told = {entry.name: entry.in_groups for entry in catalog([]).families}
    assert {name for name, able in told.items() if able} == set(CLOSED_FORMS)


def test_cells_are_schedules_with_groups_and_share_what_is_equal() -> None:
    space = Space(spec({"head": HEAD}, {"head": ["1", "5"]}), 9)
    assert space.n_cells == 2 * 2 * 2
    schedules = []
    for index in range(8):
        params = space.cell(index)
        assert params.keys() == {"initial_lr", "groups.head.initial_lr", "groups.head.warmup"}
        schedules.append(space.schedule(params))
        assert space.params_of(schedules[-1]) == params
        assert dict(schedules[-1].groups)["head"].warmup in (0, 3)
    assert len(set(schedules)) == 8
    assert count_epochs(schedules, 9) == (48, 48)
    plain = Schedule.read({**schedules[0].model_dump(exclude={"groups"})})
    assert space.params_of(plain) is None


def test_several_families_share_a_groups_parameters() -> None:
    found = spec({"head": HEAD}).model_copy(
        update={"space": SpaceSpec.read({"family": ["cosine", "linear"], "initial_lr": 0.1, "groups": {"head": HEAD}})}
    )
    space = Space(found)
    assert space.n_cells == 2 * 4
    assert {space.schedule(space.cell(index)).family for index in range(8)} == {"cosine", "linear"}


@pytest.mark.parametrize(
    ("groups", "field", "says"),
    [
        ({"head": {"initial_lr": 0.1}}, "space", "`groups.head.family` is None"),
        ({"head": {}}, "space", "`groups.head.family` is None"),
        ({"head": {"family": ["step", "cosine"]}}, "space", "one `family`"),
        ({"head": {"family": "plateau"}}, "space", "one `family` of constant, step"),
        ({"Head": {"family": "step"}}, "space", "small letters.*'Head'"),
        ({"head": 0.1}, "space", "a mapping"),
        ({"head": {"family": "step", "freeze": 1}}, "space", "say it beside `groups`"),
        ({"head": {"family": "step", "gamma": 0.5}}, "space.gamma", "did you mean `decay_rate`"),
        ({"head": {"family": "step", "initial_lr": -1}}, "space.groups.head.initial_lr", "greater than 0"),
        ({"head": {"family": "step", "initial_lr": "auto"}}, "space.groups.head.initial_lr", "auto"),
        ({"head": {**HEAD, "warmup": 6}}, "space.groups.head.warmup", "before the horizon"),
        ({"head": {**HEAD, "step_size": 0.01}}, "space.groups.head.step_size", "at least one update"),
        ({"head": {**HEAD, "initial_lr": {"low": 0.1, "high": 1}}}, "space.groups.head.initial_lr", "needs points"),
    ],
)
def test_what_is_no_group_is_refused(groups: Any, field: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        spec(groups)
    assert [fault.field for fault in caught.value.faults] == [field]


@pytest.mark.parametrize(
    ("modules", "says"),
    [
        ({"head": ["1"], "tail": ["1"]}, "belongs to one parameter group"),
        ({"head": []}, "at least 1"),
        ({"Head": ["1"]}, "should match pattern"),
    ],
)
def test_modules_belong_to_one_group(modules: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        spec({"head": HEAD}, modules)


def test_a_schedule_has_all_groups_of_the_recipe_or_none() -> None:
    own = {"family": "constant", "initial_lr": 0.1}
    told = {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 1}
    modules = {"head": ["5"], "body": ["1"]}
    fine = [told, {**told, "groups": {"head": own, "body": own}}]
    space = {"head": {**HEAD}, "body": {**HEAD}}
    assert len(spec(space, modules, baselines=fine).baselines) == 2
    with pytest.raises(InvalidInput, match=r"are body, head.*all of them or none \(got head\)") as caught:
        spec(space, modules, baselines=[{**told, "groups": {"head": own}}])
    assert [fault.field for fault in caught.value.faults] == ["baselines.0.groups"]


@pytest.mark.parametrize(("n_groups", "said"), [(32, 65), (33, 67), (65, 131)])
def test_too_many_parameters_are_all_counted(n_groups: int, said: int) -> None:
    group = {"family": "constant", "initial_lr": 0.1}
    groups = {f"g{n}": group for n in range(n_groups)}
    SpaceSpec.read({"family": "constant", "initial_lr": 0.1, "groups": dict(list(groups.items())[:31])})
    with pytest.raises(InvalidInput, match=rf"at most 64 parameters \(got {said}\)"):
        SpaceSpec.read({"family": "constant", "initial_lr": 0.1, "groups": groups})
