"""Schedules as data: dumped, read back, and refused."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lrsearch.errors import InvalidInput
from lrsearch.frozen import Frozen
from lrsearch.schedules import FAMILIES, AnySchedule, Schedule

STEP = {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 2, "epochs": 10}


class Holder(Frozen):
    schedule: AnySchedule


@given(data=st.data())
def test_what_is_dumped_is_read_back_equal(schedules, data):
    schedule, _ = data.draw(schedules())
    for mode in ("python", "json"):
        assert Schedule.model_validate(schedule.model_dump(mode=mode)) == schedule
    assert Schedule.model_validate_json(schedule.model_dump_json()) == schedule
    assert Schedule.model_validate(json.loads(json.dumps(schedule.model_dump(mode="json")))) == schedule
    holder = Holder(schedule=schedule)
    assert Holder.model_validate_json(holder.model_dump_json()) == holder
    assert type(Holder.model_validate(holder.model_dump()).schedule) is type(schedule)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert hash(Schedule.model_validate(schedule.model_dump())) == hash(schedule)


def test_the_dump_is_the_contracts():
    schedule = Schedule.model_validate(
        {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 3, "warmup": "10%", "epochs": 10}
    )
    assert schedule.model_dump(mode="json") == {
        "family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 3, "warmup": 1, "warmup_shape": "linear",
        "warmup_start": 0.01, "final_factor": 0.0, "epochs": 10,
    }  # fmt: skip
    assert '"step_size":3}' in schedule.model_dump_json()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_says_what_it_is(family):
    kind = FAMILIES[family]
    assert kind.model_fields["family"].default == family
    assert kind.HELP
    assert kind.__doc__
    assert set(kind.SEARCH) <= set(kind.parameters())
    assert all(kind.model_fields[name].description for name in kind.parameters())


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"family": "stepp"}, "family", f"one of {', '.join(FAMILIES)} (got 'stepp')"),
        ({"family": None}, "family", "got None"),
        ({"family": ["step"]}, "family", "got ['step']"),
        ({"gamma": 0.5}, "gamma", "did you mean `decay_rate`"),
        ({"eta_min": 0.0}, "eta_min", "did you mean `final_factor`"),
        ({"lr": 0.1}, "lr", "did you mean `initial_lr`"),
        ({"warmup_steps": 5}, "warmup_steps", "did you mean `warmup`"),
        ({"T_max": 5}, "T_max", "did you mean `epochs`"),
        ({"decay_rat": 5}, "decay_rat", "did you mean `decay_rate`"),
        ({"initial_lr": 0}, "initial_lr", "greater than 0"),
        ({"initial_lr": -0.1}, "initial_lr", "greater than 0"),
        ({"initial_lr": "0.1"}, "initial_lr", "valid number"),
        ({"initial_lr": True}, "initial_lr", "valid number"),
        ({"initial_lr": None}, "initial_lr", "valid number"),
        ({"initial_lr": float("inf")}, "initial_lr", "finite"),
        ({"initial_lr": float("nan")}, "initial_lr", "finite"),
        ({"initial_lr": 10**400}, "initial_lr", "valid number"),
        ({"decay_rate": 0}, "decay_rate", "greater than 0"),
        ({"decay_rate": 1.01}, "decay_rate", "less than or equal to 1"),
        ({"final_factor": -0.1}, "final_factor", "greater than or equal to 0"),
        ({"final_factor": 1.1}, "final_factor", "less than or equal to 1"),
        ({"warmup": -1}, "warmup", "greater than or equal to 0"),
        ({"warmup": 10}, "", "the warm-up must end before the horizon (got warmup 10 of 10)"),
        ({"warmup": "100%"}, "", "the warm-up must end before the horizon"),
        ({"warmup": "101%"}, "", "'101%'"),
        ({"warmup": "-5%"}, "", "'-5%'"),
        ({"warmup": "5"}, "", "'5'"),
        ({"warmup": "٥%"}, "", "'٥%'"),
        ({"warmup": True}, "warmup", "a length is a number"),
        ({"warmup": [1]}, "warmup", "a length is a number"),
        ({"warmup": 10**400}, "warmup", ""),
        ({"warmup_shape": "quadratic"}, "warmup_shape", "'linear', 'exponential' or 'cosine'"),
        ({"warmup_start": 2}, "warmup_start", "less than or equal to 1"),
        ({"warmup_start": 0, "warmup_shape": "exponential"}, "", "`warmup_start > 0`"),
        ({"step_size": 0}, "", "`step_size` must last at least one update"),
        ({"step_size": float("inf")}, "step_size", "finite"),
        ({"step_size": "x%"}, "", "'x%'"),
        ({"epochs": 0}, "epochs", "greater than or equal to 1"),
        ({"epochs": 1.5}, "epochs", "valid integer"),
        ({"epochs": True}, "epochs", "valid integer"),
        ({"epochs": 2**60}, "epochs", "less than or equal to"),
        ({"epochs": None}, "", "a horizon is either `epochs`, or `updates`"),
        ({"updates": 100, "eval_every": 10}, "", "a horizon is either `epochs`, or `updates`"),
        ({"epochs": None, "updates": 100}, "", "`updates` and `eval_every` go together"),
        ({"eval_every": 5}, "", "`updates` and `eval_every` go together"),
        ({"epochs": None, "updates": 10, "eval_every": 11}, "", "`eval_every <= updates` must hold (got 11 > 10)"),
        ({"epochs": None, "updates": 10, "eval_every": 5, "step_size": 0.4}, "", "at least one update (got 0.4"),
        ({"epochs": None, "updates": 10, "eval_every": 5, "warmup": 9.5}, "", "must end before the horizon"),
    ],
)
def test_rubbish_is_refused_with_the_field_the_law_and_the_value(change, field, says):
    with pytest.raises(InvalidInput) as error:
        Schedule.read(STEP | change)
    assert [fault.field for fault in error.value.faults] == [field]
    assert says in error.value.faults[0].message
    assert error.value.faults[0].message.count("(got ") <= 1


@pytest.mark.parametrize("rubbish", [None, [], "step", 3, {}, {"initial_lr": 0.1}])
def test_what_is_no_schedule_is_refused(rubbish):
    with pytest.raises(InvalidInput, match="a schedule is a mapping with a `family`"):
        Schedule.read(rubbish)


def test_faults_inside_another_model_name_the_fields_that_were_written():
    with pytest.raises(InvalidInput) as error:
        Holder.read({"schedule": STEP | {"decay_rate": 2, "initial_lr": -1}})
    assert {fault.field for fault in error.value.faults} == {"schedule.decay_rate", "schedule.initial_lr"}
    told = {"family": "exponential", "decay_rate": 0.5, "initial_lr": 1, "updates": 9, "eval_every": -1}
    with pytest.raises(InvalidInput) as error:
        Holder.read({"schedule": told})
    assert [fault.field for fault in error.value.faults] == ["schedule.eval_every"]


def test_a_schedule_never_changes():
    schedule = Schedule.model_validate(STEP)
    with pytest.raises(ValidationError, match="frozen"):
        schedule.initial_lr = 1.0
