"""Specs from files: YAML 1.2's scalars, limits, names, and what is written over them."""

from __future__ import annotations

import contextlib
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.errors import InvalidInput, NotFound
from lrsearch.spec_file import load, override, read_comparison, read_study, shipped


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("1E3", 1000.0), ("-.5", -0.5), ("1.", 1.0), ("+2", 2), ("0x1f", 31), ("0o17", 15),
        ("010", 10), ("1_000", "1_000"), ("1:30", "1:30"), ("true", True), ("False", False), ("on", "on"),
        ("yes", "yes"), ("off", "off"), ("y", "y"), ("null", None), ("~", None), ("", None),
        ("2026-11-21", "2026-11-21"),
        ("'1e-4'", "1e-4"), ("5%", "5%"), ("=", "="), ("<<", "<<"), ("-", [None]), (".inf", math.inf), ("!!str 1", "1"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    found = load(text)
    assert found == value
    assert type(found) is type(value)


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("a: 1\na: 2", "given once"), ('{"a": 1, "a": 2}', "given once"), ("1: 2", "keys are words"),
        ("[1, 2", "line 1"), ("a: b: c", "line 1"), ("a: &x [*x]", "inside what it names"), (BOMB, "values"),
        ("[" + "*a, " * 101 + "]", "alias"), ("a: &a 1\nb: [" + "*a, " * 101 + "]", "100 aliases"),
        ("[" * 2000, "32 deep"), ('{"a":' * 100_000, "deep"), ("a: " + "9" * 5000, "4300"),
        ("!!python/object/apply:os.system [ls]", "python/object"), ("a: !!binary aGk=", "binary"), ("!!set {a}", "set"),
        ("x" * 1_048_577, "bytes"), ("\x00", "#x0000"), ("? [a]\n: b", "keys are words"), ("--- a\n--- b", "document"),
    ],
)  # fmt: skip
def test_what_breaks_a_law_is_refused(text: str, law: str) -> None:
    with pytest.raises(InvalidInput, match=law):
        load(text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_json_is_read_as_json(value: dict[str, Any]) -> None:
    assert load(json.dumps(value)) == value
    assert load(json.dumps(value, ensure_ascii=False, indent="\t")) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_a_number(value: float) -> None:
    assert load(f"a: {value!r}") == {"a": value}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        json.dumps(load(text))


@pytest.mark.parametrize("name", shipped())
def test_shipped_specs_are_found_by_name(name: str) -> None:
    read = read_comparison if name.startswith("compare") else read_study
    assert read(name).name == name


def test_files_standard_input_mappings_and_specs_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "task: digits-mlp\nepochs: 5\nspace: {family: step, initial_lr: 1e-2}\nsampler: random\n"
    file = tmp_path / "digits-step"  # a file wins over the shipped study of its name
    file.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    expected = read_study(load(text))
    assert read_study("digits-step") == read_study(file) == read_study("-") == read_study(expected) == expected
    assert read_study(expected, ["epochs=7"], name="x").model_dump() == expected.model_dump() | {
        "epochs": 7,
        "name": "x",
    }


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    for source in ("nowhere", tmp_path, "a\x00b", "x" * 5000):
        with pytest.raises(NotFound):
            read_study(source)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="UTF-8"):
        read_study(tmp_path / "bytes")
    (tmp_path / "list").write_text("[1]")
    with pytest.raises(InvalidInput, match="mapping"):
        read_study(tmp_path / "list")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("budget.trials=8", {"budget": {"trials": 8}}),
        ("sampler.seed=3", {"sampler": {"name": "tpe", "seed": 3}}),
        ("sampler=grid", {"sampler": "grid"}),
        ("train.optimizer.momentum=0.9", {"train": {"optimizer": {"name": "sgd", "momentum": 0.9}}}),
        ("baselines.0.initial_lr=1e-3", {"baselines": [{"family": "cosine", "initial_lr": 1e-3}]}),
        ("space.initial_lr={low: 1e-4, high: 1}", {"space": {"initial_lr": {"low": 1e-4, "high": 1}}}),
        ("labels.team=", {"labels": {"team": None}}),
        ("labels.note=a=b", {"labels": {"note": "a=b"}}),
    ],
)
def test_settings_are_written_over(setting: str, expected: dict[str, Any]) -> None:
    data = {"sampler": "tpe", "train": {"optimizer": "sgd"}, "baselines": [{"family": "cosine"}]}
    assert override(data, [setting]) == data | expected
    assert data == {"sampler": "tpe", "train": {"optimizer": "sgd"}, "baselines": [{"family": "cosine"}]}


@pytest.mark.parametrize("setting", ["budget.trials", "=8", "a..b=1", "baselines.3.x=1", "task.name=1", "a=[1"])
def test_settings_that_cannot_be_are_refused(setting: str) -> None:
    with pytest.raises(InvalidInput):
        override({"task": "digits-mlp", "baselines": []}, [setting])
