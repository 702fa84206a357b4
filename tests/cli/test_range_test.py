from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from lrsearch.cli import app


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "range.yaml"
    path.write_text("{task: least-squares, low: 1e-4, high: 100}")
    return str(path)


def test_the_answer_is_in_words_and_drawn(spec, tmp_path):
    picture = tmp_path / "range.svg"
    ran = CliRunner().invoke(app, ["range-test", spec, "--set", "updates=60", "--plot", str(picture)])
    assert ran.exit_code == 0, ran.output
    assert "begin with" in ran.stdout
    assert "initial_lr: {low:" in ran.stdout
    assert picture.read_text().lstrip().startswith("<?xml")


def test_json_is_the_result(spec):
    ran = CliRunner().invoke(app, ["range-test", spec, "--json"])
    found = json.loads(ran.stdout)
    assert len(found["lr"]) == len(found["loss"])
    assert found["suggestions"].keys() == {"minimum", "steepest", "valley", "slide"}


def test_a_study_will_do():
    ran = CliRunner().invoke(app, ["range-test", "least-squares-tpe", "--set", "low=1e-3"])
    assert ran.exit_code == 0, ran.output
