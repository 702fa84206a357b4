"""Laws of every export target, and the two that are data."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput, NotFound
from lrsearch.exports import TARGETS, export
from lrsearch.schedules import Schedule

EPOCHS = Schedule.model_validate({"family": "cosine", "initial_lr": 0.1, "epochs": 10, "warmup": 1})
UPDATES = Schedule.model_validate({"family": "cosine", "initial_lr": 0.1, "updates": 50, "eval_every": 10})


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_writes_text_of_its_type(target):
    entry = TARGETS[target]
    assert entry.name == target
    assert entry.help
    for schedule, per_epoch in ((EPOCHS, 7), (UPDATES, None), (UPDATES, 7)):
        written = export(schedule, target, updates_per_epoch=per_epoch, study="s", trial=3)
        assert written.media_type == entry.media_type
        if written.media_type != "application/x-npy":
            assert written.text.endswith("\n")


@pytest.mark.parametrize("target", TARGETS)
def test_unknown_updates_are_refused_where_they_are_needed(target):
    if TARGETS[target].needs_updates:
        with pytest.raises(InvalidInput) as error:
            export(EPOCHS, target)
        assert error.value.faults[0].field == "updates_per_epoch"
    else:
        assert export(EPOCHS, target).content


def test_an_unknown_target_is_answered_with_the_known_ones():
    with pytest.raises(NotFound, match=r"'jax'.*torch, .*table, npy, json"):
        export(EPOCHS, "jax")


@given(data=st.data())
def test_the_table_holds_every_update_with_all_its_digits(schedules, data):
    schedule, per_epoch = data.draw(schedules())
    rows = list(csv.DictReader(io.StringIO(export(schedule, "table", updates_per_epoch=per_epoch).text)))
    assert [int(row["update"]) for row in rows] == list(range(schedule.clock(per_epoch).horizon))
    assert [float(row["lr"]) for row in rows] == schedule.lr_table(per_epoch).tolist()
    array = np.load(io.BytesIO(export(schedule, "npy", updates_per_epoch=per_epoch).content))
    assert array.dtype == np.float64
    assert (array == schedule.lr_table(per_epoch)).all()


def test_a_table_too_long_to_send_is_refused_at_once():
    endless = Schedule.model_validate({"family": "constant", "initial_lr": 0.1, "updates": 10**12, "eval_every": 10**9})
    with pytest.raises(InvalidInput, match="1,000,000,000,000"):
        export(endless, "table")
    assert "HORIZON = 1000000000000" in export(endless, "torch").text


@given(data=st.data())
def test_the_json_is_read_back_equal(schedules, data):
    schedule, per_epoch = data.draw(schedules())
    told = json.loads(export(schedule, "json", updates_per_epoch=per_epoch, study="digits", trial=0).text)
    assert told["study"] == "digits"
    assert told["trial"] == 0
    assert told["updates_per_epoch"] == per_epoch
    assert Schedule.model_validate(told["schedule"]) == schedule


PLATEAU = {"family": "plateau", "initial_lr": 1.0, "decay_rate": 0.5, "patience": 0}
CODE = ("torch", "lightning", "transformers", "timm", "keras", "optax")


@pytest.mark.parametrize(
    "horizon", [{"epochs": 10}, {"updates": 70, "eval_every": 7}, {"updates": 68, "eval_every": 7}]
)
def test_where_a_trial_ended_early_its_curve_ends(horizon):
    schedule = Schedule.model_validate({**PLATEAU, **horizon})
    history = [{"val_loss": value} for value in (3.0, 2.0, 2.5, 2.5)]
    taken = np.repeat([1.0, 1.0, 1.0, 0.5], 7)  # what the fourth interval's loss would have changed was never taken
    told = {"updates_per_epoch": 7, "study": "s", "trial": 3, "history": history}
    rows = list(csv.DictReader(io.StringIO(export(schedule, "table", **told).text)))
    assert [float(row["lr"]) for row in rows] == taken.tolist()
    assert np.load(io.BytesIO(export(schedule, "npy", **told).content)).tolist() == taken.tolist()
    for target in CODE:
        text = export(schedule, target, **told).text
        heading = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
        after, unit = ("epoch 4", "epochs") if "epochs" in horizon else ("update 28", "updates")
        planned = horizon.get("epochs") or horizon["updates"]
        assert f"The trial ended after {after} of {planned} {unit}" in heading
        assert "the last rate stays" in heading
    names = {}
    exec(export(schedule, "torch", **told).text, names)
    assert [names["lr"](update) for update in range(80)] == [*taken, *[0.5] * 52]
    assert json.loads(export(schedule, "json", **told).text)["history"] == history


def test_what_nothing_can_change_any_more_is_written_to_its_end():
    schedule = Schedule.model_validate({**PLATEAU, "final_factor": 0.5, "epochs": 10})
    history = [{"val_loss": 1.0}] * 3  # it has reached its floor
    text = export(schedule, "torch", updates_per_epoch=7, history=history).text
    assert "ended" not in text
    assert "10 epochs of 7" in text
    with pytest.raises(InvalidInput, match="depend on what is measured"):
        export(schedule, "torch", updates_per_epoch=7)
